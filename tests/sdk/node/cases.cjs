const orders = require('./orders/views.cjs');
const users = require('./users/views.cjs');

const ask = (shelf) => new Error('no answer');
const members = (count) => Array.from({ length: count }, (_, shelf) => ask(shelf));

exports.views_orders = () => orders.get([], 3);
exports.views_users = () => users.get([], 3);
exports.library = () => JSON.parse('{bad');
exports.method = () => new (class Shelf { take() { throw new TypeError('out of stock'); } })().take();
exports.cause = () => { throw new Error('out of stock', { cause: new RangeError('no such shelf') }); };
exports.group = () => { throw new AggregateError(members(Number(process.argv[3])), 'batch failed'); };
exports.anonymous_1 = () => process.nextTick(() => { const user = undefined; return user.name; });
exports.anonymous_2 = () => process.nextTick(() => { const config = undefined; return config.port; });
