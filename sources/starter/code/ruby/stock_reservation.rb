# frozen_string_literal: true

# Holds stock for a basket while its owner pays. A hold lapses by itself; turning
# it into a sale after that is still allowed when enough stock is left.
#
#   add_index :stock_reservations, [:sku_id, :expires_at], where: "state = 'held'"
class StockReservation < ApplicationRecord
  HOLD_PERIOD = 15.minutes
  MAX_HOLDS_PER_BASKET = 40

  belongs_to :basket, inverse_of: :stock_reservations
  belongs_to :sku

  enum :state, { held: "held", sold: "sold", released: "released" }, default: :held, validate: true

  scope :active, -> { held.where(expires_at: Time.current..) }
  scope :lapsed, -> { held.where(expires_at: ...Time.current) }

  validates :quantity, numericality: { only_integer: true, greater_than: 0 }
  validates :sku_id, uniqueness: { scope: :basket_id, conditions: -> { held } }
  validate :basket_within_hold_limit, on: :create

  after_update_commit :announce_availability, if: :saved_change_to_state?

  class InsufficientStock < StandardError
    attr_reader :sku, :requested, :available

    def initialize(sku, requested:, available:)
      @sku = sku
      @requested = requested
      @available = available
      super("#{sku.code}: #{requested} requested, #{available} available")
    end
  end

  class << self
    # Creates or replaces the basket's hold on one SKU.
    def hold!(basket:, sku:, quantity:)
      exclusively(sku) do
        reservation = basket.stock_reservations.held.find_or_initialize_by(sku:)
        others = active.where(sku:).where.not(id: reservation.id).sum(:quantity)
        available = sku.on_hand - others
        raise InsufficientStock.new(sku, requested: quantity, available:) if quantity > available

        reservation.update!(quantity:, expires_at: HOLD_PERIOD.from_now)
        reservation
      end
    end

    # All or nothing: either every hold of the basket becomes a sale, or none does.
    def convert!(basket)
      transaction do
        holds = basket.stock_reservations.held.includes(:sku).order(:sku_id)
        # One fixed locking order for all checkouts rules out deadlocks between them.
        Sku.lock.order(:id).where(id: holds.map(&:sku_id)).load

        holds.each do |hold|
          sku = hold.sku.reload
          contenders = hold.lapsed? ? active.where(sku:).sum(:quantity) : 0
          available = sku.on_hand - contenders
          raise InsufficientStock.new(sku, requested: hold.quantity, available:) if hold.quantity > available

          sku.decrement!(:on_hand, hold.quantity)
          hold.sold!
        end
      end
    end

    # Run by the scheduler every minute. Rows locked by a checkout are skipped; the
    # next run sees them again, by then most likely as sold.
    def release_lapsed!(batch_size: 500)
      released = 0
      loop do
        count = transaction do
          batch = lapsed.order(:expires_at).limit(batch_size).lock("FOR UPDATE SKIP LOCKED").to_a
          batch.each(&:released!)
          batch.size
        end
        released += count
        break if count < batch_size
      end
      released
    end

    private

    def exclusively(sku)
      transaction do
        sku.lock! # also reloads on_hand
        yield
      end
    end
  end

  def lapsed?
    held? && expires_at.past?
  end

  def extend!
    raise ActiveRecord::RecordNotSaved.new("a lapsed hold cannot be extended", self) if lapsed?

    update!(expires_at: HOLD_PERIOD.from_now)
  end

  def seconds_left(now: Time.current)
    held? ? [(expires_at - now).ceil, 0].max : 0
  end

  private

  def basket_within_hold_limit
    return if basket.nil? || basket.stock_reservations.held.count < MAX_HOLDS_PER_BASKET

    errors.add(:basket, :too_many_holds, count: MAX_HOLDS_PER_BASKET)
  end

  # Shoppers who wait for this SKU see it return without reloading the page.
  def announce_availability
    return unless released? || sold?

    broadcast = { sku: sku.code, available: sku.on_hand - self.class.active.where(sku:).sum(:quantity) }
    ActionCable.server.broadcast("availability:#{sku_id}", broadcast)
    RestockNotificationJob.perform_later(sku) if released? && broadcast[:available].positive?
  end
end
