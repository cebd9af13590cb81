'use strict';
const http = require('http');
function Order(id) { if (!(this instanceof Order)) return new Order(id); if (!id) throw new RangeError('order id missing'); }
Order.create = function (id) { return new Order(id); };
const server = http.createServer((req, res) => { Order.create(0); });
server.listen(0, () => http.get({ port: server.address().port }));
