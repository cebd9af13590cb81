#!/bin/bash
# Makes the Ruby traces again. Needs ruby 3.1.
set -u
here=$(cd "$(dirname "$0")" && pwd); out=$here/..; mkdir -p /srv/shop; cp "$here"/*.rb /srv/shop; cd /srv/shop
for name in cause json multiline deep logger full_top full_bottom thread; do ruby /srv/shop/shop.rb $name > "$out/$name.txt" 2>&1; done
gem=/var/lib/gems/3.1.0/gems/acme-stock-1.0.2/lib; mkdir -p $gem/acme; cp "$here/gem/stock.rb" $gem/acme
for name in gem library; do ruby -I $gem /srv/shop/warehouse.rb $name > "$out/$name.txt" 2>&1; done
rm -rf /srv/shop /var/lib/gems/3.1.0/gems/acme-stock-1.0.2
