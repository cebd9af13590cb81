# Fails in the code of a gem, and in the standard library; the argument chooses which.
require 'set'
require 'time'

class Warehouse
  def self.open(items)
    new(items).tap { |warehouse| warehouse.each { |item| yield item } }
  end

  def initialize(items)
    @items = items
  end

  def each(&block)
    @items.each { |item| Acme::Stock.take(item, &block) }
  end
end

def gem
  require 'acme/stock'
  Warehouse.open(%w[pen mug]) { |item| item << '!' }
end

def library
  Time.parse('soon')
end

send(ARGV[0])
