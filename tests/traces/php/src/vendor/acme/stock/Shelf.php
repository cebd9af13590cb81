<?php
namespace Acme\Stock;

final class Shelf
{
    private function __construct(private array $boxes) {}

    public static function of(array $boxes): self { return new self($boxes); }

    public function take(string $item, int $count): int
    {
        return $this->boxes[$item] >= $count ? $count : throw new \UnderflowException("only {$this->boxes[$item]} of $item");
    }
}
