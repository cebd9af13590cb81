const { total } = require('./total.cjs');
const what = process.argv[2];
if (what === 'uncaught') total({});
if (what === 'vm') require('vm').runInNewContext('throw new TypeError("in rule")');
if (what === 'any') {
  const ask = async () => { throw new Error('no answer'); };
  const main = async () => { await Promise.any([ask(), ask()]); };
  main();
}
