def get(rows, key):
    return rows[key]
