#!/bin/bash
# Makes the Java, Kotlin and Scala traces again. Needs JDK 17, kotlinc 1.3, scalac 2.11, liblogback-java, libslf4j-java.
set -u
here=$(cd "$(dirname "$0")" && pwd); out=$(cd "$here/.." && pwd); work=$(mktemp -d); cd "$work"
jars=/usr/share/java; logback=$jars/logback-classic.jar:$jars/logback-core.jar:$jars/slf4j-api.jar
javac -cp $logback -d . "$here/Checkout.java" "$here/Logged.java"
for name in causes suppressed pool reflect multiline deep thread; do java -cp . com.shop.checkout.Checkout $name > "$out/$name.txt" 2>&1; done
javac -d . "$here/Warehouse.java"
for name in helpful circular nested; do java -cp . com.shop.warehouse.Warehouse $name > "$out/$name.txt" 2>&1; done
printf 'Implementation-Version: 1.4.2\n' > manifest; mkdir lib; jar cfm lib/shop-1.4.2.jar manifest com
for name in packaging root_first short; do java -Dlogback.configurationFile="$here/logback-$name.xml" -cp lib/shop-1.4.2.jar:$logback com.shop.checkout.Logged > "$out/logback_$name.txt" 2>&1; done
kotlinc "$here/Consumer.kt" -include-runtime -d consumer.jar 2>/dev/null && java -jar consumer.jar > "$out/kotlin.txt" 2>&1
scalac "$here/Shipping.scala" && scala -nc -cp . com.shop.shipping.Shipping > "$out/scala.txt" 2>&1
