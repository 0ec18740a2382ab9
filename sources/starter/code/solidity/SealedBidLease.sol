pragma solidity ^0.8.20;

/// @dev The part of a non-fungible token that the auction needs.
interface ILeaseToken {
    function transferFrom(address from, address to, uint256 tokenId) external;
}

/// @title Sealed-bid second-price auction of a mooring lease
/// @notice Bids are committed as hashes with a deposit that may exceed the bid,
/// so that the deposit does not give the bid away. After the reveal the highest
/// bidder pays the second highest price, which makes one's true value the best
/// bid to make.
contract SealedBidLease {
    struct Commitment {
        bytes32 digest;
        uint256 deposit;
    }

    ILeaseToken public immutable token;
    uint256 public immutable tokenId;
    address public immutable harbour;
    uint256 public immutable reserve;
    uint256 public immutable commitEnd;
    uint256 public immutable revealEnd;

    mapping(address => Commitment) public commitments;
    mapping(address => uint256) public refunds;

    address public leader;
    uint256 public highest;
    uint256 public second;
    bool public closed;

    event Committed(address indexed bidder, uint256 deposit);
    event Revealed(address indexed bidder, uint256 bid, bool leads);
    event Closed(address indexed winner, uint256 price);

    error OutsidePhase(uint256 opensAt, uint256 closesAt);
    error AlreadyCommitted();
    error DigestMismatch();
    error DepositBelowReserve(uint256 deposit);
    error AlreadyClosed();
    error NothingToRefund();
    error RefundFailed();

    modifier during(uint256 start, uint256 end) {
        if (block.timestamp < start || block.timestamp >= end) revert OutsidePhase(start, end);
        _;
    }

    /// @dev The harbour must approve this contract for the token before bidding
    /// ends; it is moved only when the auction closes.
    constructor(ILeaseToken token_, uint256 tokenId_, uint256 reserve_, uint256 commitFor, uint256 revealFor) {
        token = token_;
        tokenId = tokenId_;
        harbour = msg.sender;
        reserve = reserve_;
        commitEnd = block.timestamp + commitFor;
        revealEnd = commitEnd + revealFor;
        second = reserve_;
    }

    /// @notice Digest to commit to. Call it off chain: a public call with the real
    /// bid would reveal it to the node.
    /// @dev The bidder is part of the preimage, or anyone could copy a digest and
    /// reveal it with the salt seen in the original reveal.
    function digestOf(address bidder, uint256 bid, bytes32 salt) public view returns (bytes32) {
        return keccak256(abi.encode(address(this), block.chainid, bidder, bid, salt));
    }

    function commit(bytes32 digest) external payable during(0, commitEnd) {
        if (commitments[msg.sender].digest != 0) revert AlreadyCommitted();
        if (msg.value < reserve) revert DepositBelowReserve(msg.value);
        commitments[msg.sender] = Commitment(digest, msg.value);
        emit Committed(msg.sender, msg.value);
    }

    /// @notice Open a bid. A bid below the reserve or above its own deposit is void,
    /// and the deposit is then refundable in full.
    function reveal(uint256 bid, bytes32 salt) external during(commitEnd, revealEnd) {
        Commitment memory c = commitments[msg.sender];
        if (c.digest != digestOf(msg.sender, bid, salt)) revert DigestMismatch();
        delete commitments[msg.sender];

        bool leads = bid <= c.deposit && bid >= reserve && bid > highest;
        if (leads) {
            if (leader != address(0)) {
                refunds[leader] += highest;
                second = highest;
            }
            leader = msg.sender;
            highest = bid;
            // Everything above the bid itself is free again at once.
            refunds[msg.sender] += c.deposit - bid;
        } else {
            if (bid <= c.deposit && bid > second) second = bid;
            refunds[msg.sender] += c.deposit;
        }
        emit Revealed(msg.sender, bid, leads);
    }

    /// @notice Anyone may close the auction, so that neither side can stall it.
    function close() external {
        if (block.timestamp < revealEnd) revert OutsidePhase(revealEnd, type(uint256).max);
        if (closed) revert AlreadyClosed();
        closed = true;

        uint256 price;
        if (leader != address(0)) {
            price = second;
            refunds[leader] += highest - price;
            refunds[harbour] += price;
        }
        emit Closed(leader, price);
        if (leader != address(0)) token.transferFrom(harbour, leader, tokenId);
    }

    /// @notice A commitment that is never opened forfeits a tenth of the reserve to
    /// the harbour: bids that can be walked away from for nothing are not bids.
    function forfeit(address bidder) external {
        if (block.timestamp < revealEnd) revert OutsidePhase(revealEnd, type(uint256).max);
        uint256 deposit = commitments[bidder].deposit;
        delete commitments[bidder];
        uint256 penalty = deposit == 0 ? 0 : reserve / 10;
        refunds[harbour] += penalty;
        refunds[bidder] += deposit - penalty;
    }

    function refund() external {
        uint256 amount = refunds[msg.sender];
        if (amount == 0) revert NothingToRefund();
        refunds[msg.sender] = 0;
        (bool ok, ) = payable(msg.sender).call{value: amount}("");
        if (!ok) revert RefundFailed();
    }
}
