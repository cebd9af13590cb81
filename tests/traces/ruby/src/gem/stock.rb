# frozen_string_literal: true

module Acme
  module Stock
    def self.take(item)
      yield item.freeze
    end
  end
end
