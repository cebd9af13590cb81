import json

from shop.orders import views as orders
from shop.users import views as users


class StockError(Exception):
    pass


def ask(shelf):
    raise TimeoutError("no answer")


def members(count):
    errors = []
    for shelf in range(count):
        try:
            ask(shelf)
        except TimeoutError as error:
            errors.append(error)
    return errors


def views_orders():
    orders.get([], 3)


def views_users():
    users.get([], 3)


def library():
    json.loads("{bad")


def cause():
    try:
        orders.get({}, "mug")
    except KeyError as error:
        raise StockError("out of stock") from error


def context():
    try:
        orders.get({}, "mug")
    except KeyError:
        users.get([], 3)


def group_of_2():
    raise ExceptionGroup("batch failed", members(2))


def group_of_3():
    raise ExceptionGroup("batch failed", members(3))


def group_of_kinds():
    errors = members(1)
    try:
        cause()
    except StockError as error:
        errors.append(error)
    raise ExceptionGroup("batch failed", errors)


def group_within():
    try:
        raise ExceptionGroup("batch failed", members(2))
    except ExceptionGroup as group:
        raise StockError("nightly run") from group
