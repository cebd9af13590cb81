package com.shop.checkout;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Logs one exception the way logback does: with packaging data, the root cause first, or cut short. */
public final class Logged {
    private static final Logger log = LoggerFactory.getLogger(Logged.class);

    static void stock(int count) {
        try {
            java.util.Objects.checkIndex(count, 3);
        } catch (IndexOutOfBoundsException e) {
            throw new IllegalStateException("no such shelf", e);
        }
    }

    public static void main(String[] args) {
        try {
            try {
                stock(7);
            } catch (IllegalStateException e) {
                throw new UnsupportedOperationException("order 4711 failed", e);
            }
        } catch (UnsupportedOperationException e) {
            log.error("cannot ship", e);
            log.info("next order");
        }
    }
}
