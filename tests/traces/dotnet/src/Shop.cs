// Fails in the ways a .NET service fails; the argument chooses which.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;

namespace Shop.Payments
{
    public class PaymentDeclinedException : Exception
    {
        public PaymentDeclinedException(string message, Exception inner) : base(message, inner) { }
    }

    public class Repository<TKey, TValue>
    {
        readonly Dictionary<TKey, TValue> items = new Dictionary<TKey, TValue>();
        public TResult Find<TResult>(TKey key, Func<TValue, TResult> select) { return select(items[key]); }
    }

    public class Gateway
    {
        readonly Repository<string, int> prices = new Repository<string, int>();

        public Gateway() { }
        public Gateway(int limit) { if (limit < 0) throw new ArgumentOutOfRangeException("limit", limit, "must be positive"); }

        public int Charge(string sku) { return prices.Find(sku, price => price * 2); }

        public async Task<int> ChargeAsync(string sku)
        {
            await Task.Yield();
            try { return Charge(sku); }
            catch (KeyNotFoundException error) { throw new PaymentDeclinedException("no price for " + sku, error); }
        }

        public async Task<int> OrderAsync(IEnumerable<string> skus)
        {
            var total = 0;
            foreach (var sku in skus) total += await ChargeAsync(sku);
            return total;
        }
    }

    public static class Program
    {
        static void Wrapped()
        {
            try { new Gateway().Charge("mug"); }
            catch (KeyNotFoundException error)
            {
                try { throw new InvalidOperationException("order 4711 has no total\n  1 line\n  0 prices", error); }
                catch (InvalidOperationException again) { throw new PaymentDeclinedException("order 4711 failed", again); }
            }
        }

        static void Aggregate() { Task.WaitAll(new Gateway().ChargeAsync("mug"), Task.Run(() => { new Gateway(-1); })); }

        static void Logged()
        {
            try { Wrapped(); }
            catch (Exception error)
            {
                Console.WriteLine("fail: Shop.Payments.Program[0]");
                Console.WriteLine("      order 4711 failed");
                foreach (var line in error.ToString().Split('\n')) Console.WriteLine("      " + line);
                Console.WriteLine("info: Shop.Payments.Program[0]");
                Console.WriteLine("      next order");
            }
        }

        public static void Main(string[] args)
        {
            switch (args[0])
            {
                case "wrapped": Wrapped(); break;
                case "async": new Gateway().OrderAsync(new[] { "mug" }).GetAwaiter().GetResult(); break;
                case "aggregate": Aggregate(); break;
                case "logged": Logged(); break;
                case "linq": Console.WriteLine(new[] { "mug" }.Select(sku => new Gateway(-sku.Length)).ToList().Count); break;
                case "thread": { var thread = new System.Threading.Thread(() => new Gateway(-1)) { Name = "worker" }; thread.Start(); thread.Join(); break; }
                case "nested":
                    try { Aggregate(); } catch (AggregateException error) { Console.WriteLine(new AggregateException("nightly run", error, new TimeoutException("too slow"))); }
                    break;
            }
        }
    }
}
