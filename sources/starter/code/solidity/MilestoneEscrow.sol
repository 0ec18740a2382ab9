pragma solidity ^0.8.20;

/// @title Escrow for work that is delivered and paid in milestones
/// @notice A client locks the whole price. Each milestone is released by the
/// client, or by the arbiter once either party has raised a dispute. If the
/// client stays silent after a delivery, the contractor may collect when the
/// review period has passed.
/// @dev Payments are pulled, not pushed: a recipient that reverts on receipt can
/// block only its own withdrawal.
contract MilestoneEscrow {
    enum Status {
        Open,
        Delivered,
        Disputed,
        Settled
    }

    struct Milestone {
        uint96 amount;
        uint64 deadline;
        uint64 deliveredAt;
        Status status;
    }

    uint64 public constant REVIEW_PERIOD = 10 days;

    address public immutable client;
    address public immutable contractor;
    address public immutable arbiter;

    Milestone[] public milestones;
    mapping(address => uint256) public withdrawable;

    event Delivered(uint256 indexed index, bytes32 evidence);
    event Disputed(uint256 indexed index, address indexed by);
    event Settled(uint256 indexed index, uint256 toContractor, uint256 toClient);
    event Withdrawn(address indexed recipient, uint256 amount);

    error NotAuthorised(address caller);
    error WrongStatus(uint256 index, Status actual);
    error WrongDeposit(uint256 sent, uint256 required);
    error TooEarly(uint64 availableAt);
    error InvalidMilestone(uint256 index);
    error ShareTooLarge(uint256 basisPoints);
    error TransferFailed();

    modifier onlyBy(address account) {
        if (msg.sender != account) revert NotAuthorised(msg.sender);
        _;
    }

    modifier inStatus(uint256 index, Status expected) {
        Status actual = milestones[index].status;
        if (actual != expected) revert WrongStatus(index, actual);
        _;
    }

    constructor(
        address contractor_,
        address arbiter_,
        uint96[] memory amounts,
        uint64[] memory deadlines
    ) payable {
        client = msg.sender;
        contractor = contractor_;
        arbiter = arbiter_;

        uint256 total;
        uint64 previous = uint64(block.timestamp);
        for (uint256 i = 0; i < amounts.length; ++i) {
            // Deadlines must rise, or a later stage could lapse before an earlier one.
            if (amounts[i] == 0 || deadlines[i] <= previous) revert InvalidMilestone(i);
            previous = deadlines[i];
            total += amounts[i];
            milestones.push(Milestone(amounts[i], deadlines[i], 0, Status.Open));
        }
        if (msg.value != total) revert WrongDeposit(msg.value, total);
    }

    /// @param evidence Hash of whatever was handed over; kept only in the log.
    function deliver(uint256 index, bytes32 evidence)
        external
        onlyBy(contractor)
        inStatus(index, Status.Open)
    {
        Milestone storage m = milestones[index];
        m.status = Status.Delivered;
        m.deliveredAt = uint64(block.timestamp);
        emit Delivered(index, evidence);
    }

    function accept(uint256 index) external onlyBy(client) inStatus(index, Status.Delivered) {
        _settle(index, milestones[index].amount);
    }

    /// @notice Collect a delivery that the client neither accepted nor disputed.
    function collect(uint256 index) external onlyBy(contractor) inStatus(index, Status.Delivered) {
        uint64 availableAt = milestones[index].deliveredAt + REVIEW_PERIOD;
        if (block.timestamp < availableAt) revert TooEarly(availableAt);
        _settle(index, milestones[index].amount);
    }

    /// @notice Take the money back for a stage that was never delivered.
    function reclaim(uint256 index) external onlyBy(client) inStatus(index, Status.Open) {
        uint64 deadline = milestones[index].deadline;
        if (block.timestamp <= deadline) revert TooEarly(deadline);
        _settle(index, 0);
    }

    function dispute(uint256 index) external inStatus(index, Status.Delivered) {
        if (msg.sender != client && msg.sender != contractor) revert NotAuthorised(msg.sender);
        milestones[index].status = Status.Disputed;
        emit Disputed(index, msg.sender);
    }

    /// @param basisPoints Share of the contractor, in hundredths of a percent.
    function arbitrate(uint256 index, uint256 basisPoints)
        external
        onlyBy(arbiter)
        inStatus(index, Status.Disputed)
    {
        if (basisPoints > 10_000) revert ShareTooLarge(basisPoints);
        _settle(index, (uint256(milestones[index].amount) * basisPoints) / 10_000);
    }

    function withdraw() external {
        uint256 amount = withdrawable[msg.sender];
        withdrawable[msg.sender] = 0;
        (bool ok, ) = msg.sender.call{value: amount}("");
        if (!ok) revert TransferFailed();
        emit Withdrawn(msg.sender, amount);
    }

    function _settle(uint256 index, uint256 toContractor) private {
        Milestone storage m = milestones[index];
        uint256 toClient = m.amount - toContractor;
        m.status = Status.Settled;
        withdrawable[contractor] += toContractor;
        withdrawable[client] += toClient;
        emit Settled(index, toContractor, toClient);
    }
}
