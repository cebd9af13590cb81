// Fails in the ways a Node service fails; the argument chooses which.
import assert from "node:assert";
import { readFile } from "node:fs/promises";
import { EventEmitter } from "node:events";

class PaymentDeclined extends Error {
  name = "PaymentDeclined";
  constructor(message, options) {
    super(message, options);
    this.code = "E_DECLINED";
    this.order = { id: 4711, lines: [{ sku: "mug", count: 2 }] };
  }
}

class Gateway {
  charge(order) {
    return order.card.number.slice(-4);
  }
  async pay(order) {
    await null;
    try {
      return this.charge(order);
    } catch (cause) {
      throw new PaymentDeclined("order 4711 declined", { cause });
    }
  }
}

const cases = {
  uncaught() { new Gateway().charge({}); },
  async rejected() { await new Gateway().pay({}); },
  async cause() {
    try { await new Gateway().pay({}); } catch (error) { console.error("payment failed:", error); console.error("next order"); }
  },
  async aggregate() {
    const pay = (n) => new Gateway().pay({ n });
    try { await Promise.any([pay(1), pay(2)]); } catch (error) { console.error(error); }
  },
  async all() { try { await Promise.all([1, 2].map((n) => new Gateway().pay({ n }))); } catch (error) { console.error(error.stack); } },
  assertion() { assert.deepStrictEqual({ total: 3 }, { total: 4 }); },
  evaluated() { try { eval("(function rule() { missing(); })()"); } catch (error) { console.error(error.stack); } },
  emitter() { const bus = new EventEmitter(); bus.on("order", function onOrder(order) { order.ship(); }); bus.emit("order", {}); },
  json() { try { [1].map(() => JSON.parse("{bad")); } catch (error) { console.log(`error: could not read order ${error.stack}`); } },
  async file() { await readFile("/app/orders.json"); },
  nothing() { Promise.reject("out of stock"); },
  multiline() { console.error(new TypeError("2 problems:\n\n- no address\n- total is negative")); },
  common() {
    const step = (n, then) => (n === 0 ? then() : step(n - 1, then));
    const fail = () => { try { JSON.parse("{"); } catch (cause) { throw new PaymentDeclined("unreadable", { cause }); } };
    try { step(4, fail); } catch (error) { console.error(error); }
  },
  thrown() { throw "out of stock"; }, prefixed() { try { new Gateway().charge({}); } catch (error) { error.stack = `checkout für Tür 17: ${error.stack}`; throw error; } },
};
await cases[process.argv[2]]();
