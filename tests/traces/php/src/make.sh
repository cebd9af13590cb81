#!/bin/bash
# Makes the PHP traces again. Needs php 8.2.
set -u
here=$(cd "$(dirname "$0")" && pwd); out=$here/..; mkdir -p /srv/shop; cp "$here"/*.php /srv/shop; cd /srv/shop
for name in previous multiline type anonymous logged monolog none; do php -d zend.exception_ignore_args=0 -d display_errors=0 -d log_errors=1 -d error_log= -d html_errors=0 /srv/shop/shop.php $name > "$out/$name.txt" 2>&1; done
php -d display_errors=stderr -d log_errors=0 -d html_errors=0 -d zend.exception_ignore_args=1 /srv/shop/shop.php previous > "$out/displayed.txt" 2>&1
cp -r "$here/vendor" /srv/shop
for name in vendor generator; do php -d zend.exception_ignore_args=1 -d display_errors=0 -d log_errors=1 -d error_log= -d html_errors=0 /srv/shop/warehouse.php $name > "$out/$name.txt" 2>&1; done
rm -rf /srv/shop
