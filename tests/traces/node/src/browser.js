// SpiderMonkey's stack format, as Firefox's console and error reporters have it.
function Cart(lines) { this.lines = lines; }
Cart.prototype.total = function () { return this.lines.map(line => line.price.amount).reduce((a, b) => a + b, 0); };
async function checkout(cart) { await null; return cart.total(); }
const show = (what, error) => print(`${what}${error.name}: ${error.message}\n${error.stack}`);
function render() { try { new Cart([{}]).total(); } catch (error) { show("", error); } }
if (ARGV[0] === "render") render();
if (ARGV[0] === "checkout") checkout(new Cart([{}])).catch(error => show("checkout failed: ", error));
if (ARGV[0] === "evaluated") eval('(function rule() { try { missing(); } catch (error) { show("", error); } })()');
