<?php
// Fails in the ways a PHP service fails; the argument chooses which.
namespace Shop;

class PaymentDeclined extends \RuntimeException {}

class Gateway
{
    public function charge(array $order, string $currency): int { return intdiv($order['total'], $order['parts'] ?? 0); }

    public static function all(array $orders): array
    {
        return array_map(fn (array $order) => (new self())->charge($order, 'EUR (net)'), $orders);
    }
}

function previous(): void
{
    try {
        Gateway::all([['total' => 3]]);
    } catch (\DivisionByZeroError $error) {
        try {
            throw new \LogicException('order 4711 has no parts', 7, $error);
        } catch (\LogicException $again) {
            throw new PaymentDeclined("order 4711 failed", 0, $again);
        }
    }
}

function multiline(): void { throw new PaymentDeclined("2 problems:\n  no address\n  total is negative in /tmp"); }

function type(): void { (new Gateway())->charge('mug', 'EUR'); }

function anonymous(): void
{
    $rule = new class { public function __invoke(object $cart) { throw new \DomainException('cart is locked'); } };
    $carts = [new \stdClass()];
    array_walk($carts, function ($cart) use ($rule) { $rule($cart); });
}

function none(): void { throw new PaymentDeclined(); }

/** As Monolog's LineFormatter, which Laravel uses, writes an exception of the context when line breaks are allowed. */
function monolog(): void
{
    $format = fn (\Throwable $e) => sprintf("[object] (%s(code: %s): %s at %s:%d)\n[stacktrace]\n%s\n", str_replace('\\', '\\\\', $e::class),
        $e->getCode(), $e->getMessage(), $e->getFile(), $e->getLine(), str_replace('\\', '\\\\', $e->getTraceAsString()));
    try { previous(); } catch (\Throwable $error) {
        $text = $format($error);
        while ($error = $error->getPrevious()) { $text .= "\n[previous exception] " . $format($error); }
        echo "[2026-03-04 10:11:12] production.ERROR: order 4711 failed {\"userId\":12,\"exception\":\"{$text}\"} \n";
        echo "[2026-03-04 10:11:13] production.INFO: next order\n";
    }
}

function logged(): void
{
    try { previous(); } catch (\Throwable $error) { fwrite(STDERR, '[2026-03-04 10:11:12] production.ERROR: payment failed' . "\n" . $error . "\n[2026-03-04 10:11:12] production.INFO: next order\n"); }
}

('Shop\\' . $argv[1])();
