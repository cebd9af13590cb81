exports.get = (rows, key) => rows[key].name;
