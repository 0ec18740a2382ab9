pragma solidity ^0.8.20;

/// @title Packed sets of small integers
/// @notice One storage slot holds 256 members, so marking a whole row of seats
/// costs one write instead of one for each.
library BitSet {
    struct Set {
        mapping(uint256 => uint256) words;
    }

    function contains(Set storage self, uint256 item) internal view returns (bool) {
        return self.words[item >> 8] & (1 << (item & 0xff)) != 0;
    }

    /// @return conflict The members of `mask` that were in the set already. The set
    /// is changed only if there are none.
    function insertAll(Set storage self, uint256 word, uint256 mask) internal returns (uint256 conflict) {
        uint256 present = self.words[word];
        conflict = present & mask;
        if (conflict == 0) self.words[word] = present | mask;
    }

    function removeAll(Set storage self, uint256 word, uint256 mask) internal {
        self.words[word] &= ~mask;
    }

    /// @dev Parallel bit count over fields of 2, 4, 8 and more bits.
    function count(uint256 x) internal pure returns (uint256) {
        unchecked {
            uint256 m1 = type(uint256).max / 3;
            uint256 m2 = type(uint256).max / 5;
            uint256 m4 = type(uint256).max / 17;
            x -= (x >> 1) & m1;
            x = (x & m2) + ((x >> 2) & m2);
            x = (x + (x >> 4)) & m4;
            // Multiplying by 0x0101...01 sums all bytes into the top one, which
            // overflows for exactly one input.
            if (x == (type(uint256).max / 255) * 8) return 256;
            return (x * (type(uint256).max / 255)) >> 248;
        }
    }
}

/// @title Box office of a theatre
/// @notice Seats of one row are bits of one word. A booking names a row and a
/// mask; it is atomic, so a party never ends up with half of its seats.
contract SeatBitmap {
    using BitSet for BitSet.Set;
    using BitSet for uint256;

    address public immutable house;
    uint256 public immutable curtain;
    uint256 public immutable rows;
    uint256 public immutable seatsPerRow;
    uint256 public immutable price;

    BitSet.Set private sold;
    mapping(uint256 row => mapping(uint256 seat => address)) public holderOf;

    event Booked(address indexed guest, uint256 indexed row, uint256 mask);
    event Returned(address indexed guest, uint256 indexed row, uint256 mask, uint256 refund);

    error NoSuchSeat(uint256 row, uint256 mask);
    error SeatsTaken(uint256 row, uint256 conflict);
    error WrongPayment(uint256 sent, uint256 due);
    error NotHolder(uint256 row, uint256 seat);
    error CurtainIsUp();
    error PayoutFailed();

    modifier beforeCurtain() {
        if (block.timestamp >= curtain) revert CurtainIsUp();
        _;
    }

    modifier validSeats(uint256 row, uint256 mask) {
        if (row >= rows || mask == 0 || mask >> seatsPerRow != 0) revert NoSuchSeat(row, mask);
        _;
    }

    constructor(uint256 curtain_, uint256 rows_, uint256 seatsPerRow_, uint256 price_) {
        require(seatsPerRow_ > 0 && seatsPerRow_ < 256, "row must fit one word");
        house = msg.sender;
        curtain = curtain_;
        rows = rows_;
        seatsPerRow = seatsPerRow_;
        price = price_;
    }

    function book(uint256 row, uint256 mask) external payable beforeCurtain validSeats(row, mask) {
        uint256 due = mask.count() * price;
        if (msg.value != due) revert WrongPayment(msg.value, due);
        uint256 conflict = sold.insertAll(row, mask);
        if (conflict != 0) revert SeatsTaken(row, conflict);
        for (uint256 rest = mask; rest != 0; rest &= rest - 1) {
            holderOf[row][_lowest(rest)] = msg.sender;
        }
        emit Booked(msg.sender, row, mask);
    }

    /// @notice Give seats back. The refund falls from the full price two weeks
    /// before the performance to half of it at the curtain.
    function giveBack(uint256 row, uint256 mask) external beforeCurtain validSeats(row, mask) {
        for (uint256 rest = mask; rest != 0; rest &= rest - 1) {
            uint256 seat = _lowest(rest);
            if (holderOf[row][seat] != msg.sender) revert NotHolder(row, seat);
            delete holderOf[row][seat];
        }
        sold.removeAll(row, mask);

        uint256 left = curtain - block.timestamp;
        if (left > 14 days) left = 14 days;
        uint256 refund = (mask.count() * price * (14 days + left)) / 28 days;
        emit Returned(msg.sender, row, mask, refund);
        _pay(msg.sender, refund);
    }

    function isSold(uint256 row, uint256 seat) external view returns (bool) {
        return sold.contains((row << 8) | seat);
    }

    function takings() external {
        if (block.timestamp < curtain) revert CurtainIsUp();
        _pay(house, address(this).balance);
    }

    /// @dev Index of the lowest set bit: how many ones are below it.
    function _lowest(uint256 mask) private pure returns (uint256) {
        unchecked {
            return BitSet.count((mask & (~mask + 1)) - 1);
        }
    }

    function _pay(address to, uint256 amount) private {
        (bool ok, ) = to.call{value: amount}("");
        if (!ok) revert PayoutFailed();
    }
}
