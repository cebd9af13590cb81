package com.shop.checkout;

import java.util.List;
import java.util.Map;
import java.util.concurrent.*;
import java.util.stream.Collectors;

/** Fails in the ways a shop's checkout service fails; the argument chooses which. */
public final class Checkout {
    static class PaymentDeclinedException extends RuntimeException {
        PaymentDeclinedException(String message, Throwable cause) { super(message, cause); }
    }

    static class Connection implements AutoCloseable {
        final String name;
        Connection(String name) { this.name = name; }
        void query() { throw new IllegalStateException("connection " + name + " is broken"); }
        @Override public void close() throws Exception { throw new java.io.IOException("cannot close " + name, new java.net.SocketException("Broken pipe")); }
    }

    static int price(Map<String, Integer> prices, String sku) { return prices.get(sku); }

    static void causes() {
        try {
            List.of("mug", "pen").stream().map(sku -> price(Map.of("mug", 3), sku)).collect(Collectors.toList());
        } catch (NullPointerException e) {
            try {
                throw new IllegalArgumentException("no price for \"pen\"", e);
            } catch (IllegalArgumentException again) {
                throw new PaymentDeclinedException("order 4711 failed", again);
            }
        }
    }

    static void suppressed() throws Exception {
        try (Connection outer = new Connection("primary"); Connection inner = new Connection("replica")) {
            inner.query();
        }
    }

    static void pool() throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(1, task -> new Thread(task, "checkout-worker-1"));
        try {
            Future<Integer> total = pool.submit(() -> price(Map.of(), "mug"));
            total.get();
        } finally {
            pool.shutdown();
        }
    }

    static void reflect() throws Exception {
        Checkout.class.getDeclaredMethod("causes").invoke(null);
    }

    static void multiline() {
        throw new IllegalStateException("2 problems in the order:\n  - no address\n  - total is negative");
    }

    static void deep(int n) {
        if (n == 0) throw new UnsupportedOperationException();
        deep(n - 1);
    }

    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "suppressed" -> suppressed();
            case "pool" -> pool();
            case "reflect" -> reflect();
            case "multiline" -> multiline();
            case "deep" -> deep(300);
            case "thread" -> {
                Thread worker = new Thread(Checkout::causes, "kafka-consumer 7");
                worker.start();
                worker.join();
            }
            default -> {
                try {
                    causes();
                } catch (PaymentDeclinedException e) {
                    System.err.println("2026-03-04 10:11:12,345 ERROR [http-nio-8080-exec-3] c.s.checkout.Checkout - order 4711 failed");
                    e.printStackTrace();
                    System.err.println("2026-03-04 10:11:12,346 INFO  [http-nio-8080-exec-3] c.s.checkout.Checkout - next order");
                }
            }
        }
    }
}
