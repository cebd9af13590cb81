package com.shop.stock

class StockException(message: String, cause: Throwable? = null) : Exception(message, cause)

fun <T> retry(times: Int, block: (Int) -> T): T {
    var last: Exception? = null
    repeat(times) { attempt ->
        try { return block(attempt) } catch (e: Exception) { last?.let(e::addSuppressed); last = e }
    }
    throw StockException("gave up after $times attempts", last)
}

object Consumer {
    fun reserve(sku: String, count: Int): Int {
        require(count > 0) { "count must be positive, was $count" }
        return sku.length
    }
}

fun main() {
    retry(2) { attempt -> Consumer.reserve("mug", -attempt) }
}
