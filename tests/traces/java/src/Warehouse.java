package com.shop.warehouse;

import java.util.List;
import java.util.Optional;

/** Fails in ways that JDK 17 words itself, and with exceptions that refer to each other; the argument chooses which. */
public final class Warehouse {
    record Box(String label, Box inner) {}

    sealed interface Shelf permits Low, High {}
    static final class Low implements Shelf {}
    static final class High implements Shelf {
        @Override public String toString() { throw new UnsupportedOperationException("too high"); }
    }

    static int depth(Box box) { return 1 + box.inner().label().length(); }

    static void helpful() {
        Optional.of(new Box("pens", null)).map(Warehouse::depth).ifPresent(System.out::println);
    }

    static void circular() {
        IllegalStateException stock = new IllegalStateException("no stock");
        IllegalArgumentException order = new IllegalArgumentException("order 17", stock);
        stock.initCause(order);
        throw order;
    }

    static void nested() {
        RuntimeException failed = new RuntimeException("shelves failed");
        for (Shelf shelf : List.of(new Low(), new High())) {
            try {
                if (((Object) shelf.toString()) instanceof Integer count) System.out.println(count);
            } catch (UnsupportedOperationException e) {
                failed.addSuppressed(new IllegalStateException("shelf is out of reach", e));
            }
        }
        throw failed;
    }

    public static void main(String[] args) {
        switch (args[0]) {
            case "circular" -> circular();
            case "nested" -> nested();
            default -> helpful();
        }
    }
}
