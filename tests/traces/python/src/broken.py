import os


def broken(order)
    return order
