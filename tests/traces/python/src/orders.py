"""Fails in the ways a Python order service fails; the argument chooses which."""
import asyncio
import json
import logging
import sys
from concurrent.futures import ProcessPoolExecutor


class PaymentDeclined(Exception):
    pass


class Gateway:
    def charge(self, order):
        return order["total"] / order["parts"]


def context():
    try:
        Gateway().charge({"total": 10, "parts": 0})
    except ZeroDivisionError:
        return {}["order 4711"]


def cause():
    try:
        json.loads('{"total": }')
    except ValueError as error:
        raise PaymentDeclined("order 4711 is unreadable") from error


def recursion(depth=0):
    return recursion(depth + 1)


def multiline():
    raise PaymentDeclined("2 problems:\n  no address\n  total is negative")


def unraised_cause():
    raise PaymentDeclined("no reply") from TimeoutError("gateway silent for 30 s")


async def worker(number):
    await asyncio.sleep(0)
    if number == 1:
        try:
            int("one")
        except ValueError as error:
            raise PaymentDeclined(f"worker {number}") from error
    Gateway().charge({"total": number, "parts": 0})


async def gather():
    async with asyncio.TaskGroup() as group:
        for number in (1, 2):
            group.create_task(worker(number))


def group():
    try:
        asyncio.run(gather())
    except BaseExceptionGroup as workers:
        raise ExceptionGroup("nightly run", [workers, KeyError("sku")]) from OSError(28, "No space left on device")


def logged():
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", datefmt="%Y-%m-%d %H:%M:%S")
    try:
        context()
    except KeyError:
        logging.getLogger("shop.orders").exception("order %s failed", 4711)
    logging.getLogger("shop.orders").warning("next order")


def pool():
    with ProcessPoolExecutor(1) as processes:
        processes.submit(Gateway().charge, {"total": 1}).result()


def statement():
    prices = {"mug": 3}
    return sum(
        prices[sku]
        for sku in (
            "mug",
            "pen",
        )
    )


if __name__ == "__main__":
    globals()[sys.argv[1]]()
