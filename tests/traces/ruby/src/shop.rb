# Fails in the ways a Ruby service fails; the argument chooses which.
require 'json'
require 'logger'

module Shop
  class PaymentDeclined < StandardError; end

  class Gateway
    def charge(order)
      order.fetch(:card)
    rescue KeyError
      raise PaymentDeclined, "order #{order[:id]} has no card"
    end

    def self.all(orders)
      orders.map { |order| new.charge(order) }
    end
  end
end

def cause
  Shop::Gateway.all([{ id: 4711 }])
end

def json
  JSON.parse('{"total": }')
end

def multiline
  raise Shop::PaymentDeclined, "2 problems:\n  no address\n  total is negative"
end

def deep(level = 3)
  level.zero? ? Integer('one') : deep(level - 1)
end

def logger
  Logger.new($stderr, formatter: proc { |level, _, _, text| "#{level} -- : #{text.is_a?(Exception) ? "#{text.message} (#{text.class})\n#{text.backtrace.join("\n")}" : text}\n" }).tap do |log|
    cause rescue log.error($!)
    log.info('next order')
  end
end

def full_top
  cause rescue $stderr.puts($!.full_message(highlight: false, order: :top))
end

def full_bottom
  cause rescue $stderr.puts($!.full_message(highlight: false, order: :bottom))
end

def thread
  Thread.new { deep }.join
end

send(ARGV[0])
