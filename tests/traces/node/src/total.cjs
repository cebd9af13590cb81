const total = (order) => order.parts.length;
module.exports = { total };
