<?php
// Fails in the code of a package below `vendor`, and inside of a generator; the argument chooses which.
namespace Warehouse;

require __DIR__ . '/vendor/acme/stock/Shelf.php';

function vendor(): void
{
    $take = static fn (string $item): int => \Acme\Stock\Shelf::of(['pen' => 1])->take($item, 2);
    array_map($take, ['pen']);
}

function boxes(array $items): \Generator
{
    foreach ($items as $item) {
        yield $item => strlen($item['name']);
    }
}

function generator(): void
{
    try {
        foreach (boxes([['name' => []]]) as $length) {
            echo $length;
        }
    } finally {
        fwrite(STDERR, "warehouse closed\n");
    }
}

('Warehouse\\' . $argv[1])();
