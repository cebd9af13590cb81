package Shop::Stock;
use Carp qw(confess croak);
sub take { my ($sku, $count) = @_; confess "out of stock: $sku" if $count > 3; die "no such shelf\n" if $count == 3; return 1; }
package main;
sub reserve { my ($order) = @_; return Shop::Stock::take($order->{sku}, $order->{count}); }
my $what = shift // 'confess';
if ($what eq 'confess') { reserve({sku => 'mug', count => 5}); }
elsif ($what eq 'eval') { eval { reserve({sku => 'mug', count => 5}); }; print STDERR "order failed: $@"; }
else { die; }
