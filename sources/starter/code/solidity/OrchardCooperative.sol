pragma solidity ^0.8.20;

/// @title Shares, dividends and votes of a fruit growers' cooperative
/// @notice Members deliver fruit and are credited shares by the weigher. Sales
/// revenue is spread over all shares at the moment it arrives. One member has
/// one vote, whatever the number of shares.
abstract contract Membership {
    enum Role {
        None,
        Member,
        Weigher
    }

    mapping(address => Role) public roleOf;
    uint256 public memberCount;

    event RoleChanged(address indexed account, Role role);

    error RoleRequired(Role role);
    error UnchangedRole();

    modifier only(Role role) {
        if (roleOf[msg.sender] != role) revert RoleRequired(role);
        _;
    }

    function _setRole(address account, Role role) internal virtual {
        Role old = roleOf[account];
        if (old == role) revert UnchangedRole();
        if (old == Role.Member) --memberCount;
        if (role == Role.Member) ++memberCount;
        roleOf[account] = role;
        emit RoleChanged(account, role);
    }
}

/// @dev Dividends in constant time: `perShare` is the revenue that one share has
/// earned since the beginning, and every account remembers the value up to which
/// it has been credited. Nothing ever loops over the members.
abstract contract Dividends is Membership {
    uint256 private constant SCALE = 1e18;

    uint256 public totalShares;
    uint256 public perShare;
    mapping(address => uint256) public sharesOf;
    mapping(address => uint256) private creditedUpTo;
    mapping(address => uint256) private owed;

    event Delivery(address indexed grower, uint256 kilograms);
    event Revenue(uint256 amount, uint256 perShare);
    event Paid(address indexed grower, uint256 amount);

    error NoShares();
    error PaymentFailed();

    function recordDelivery(address grower, uint256 kilograms) external only(Role.Weigher) {
        if (roleOf[grower] != Role.Member) revert RoleRequired(Role.Member);
        _credit(grower);
        sharesOf[grower] += kilograms;
        totalShares += kilograms;
        emit Delivery(grower, kilograms);
    }

    receive() external payable {
        if (totalShares == 0) revert NoShares();
        // The remainder of this division stays in the contract; it is below one
        // wei per share and not worth a variable.
        perShare += (msg.value * SCALE) / totalShares;
        emit Revenue(msg.value, perShare);
    }

    function claimable(address grower) public view returns (uint256) {
        return owed[grower] + (sharesOf[grower] * (perShare - creditedUpTo[grower])) / SCALE;
    }

    /// @notice Open to former members too: leaving forfeits no earnings.
    function claim() external {
        _credit(msg.sender);
        uint256 amount = owed[msg.sender];
        owed[msg.sender] = 0;
        (bool ok, ) = msg.sender.call{value: amount}("");
        if (!ok) revert PaymentFailed();
        emit Paid(msg.sender, amount);
    }

    function _credit(address grower) internal {
        owed[grower] = claimable(grower);
        creditedUpTo[grower] = perShare;
    }
}

contract OrchardCooperative is Dividends {
    struct Motion {
        address account;
        Role role;
        uint64 closesAt;
        uint32 inFavour;
        uint32 against;
        bool executed;
    }

    uint64 public constant VOTING_PERIOD = 7 days;

    Motion[] public motions;
    mapping(uint256 => mapping(address => bool)) public hasVoted;

    event MotionTabled(uint256 indexed id, address indexed account, Role role);
    event Voted(uint256 indexed id, address indexed member, bool inFavour);

    error VotingClosed();
    error VotingOpen();
    error AlreadyVoted();
    error NotCarried();

    constructor(address[] memory founders, address weigher) {
        for (uint256 i = 0; i < founders.length; ++i) _setRole(founders[i], Role.Member);
        _setRole(weigher, Role.Weigher);
    }

    function table(address account, Role role) external only(Role.Member) returns (uint256 id) {
        id = motions.length;
        motions.push(Motion(account, role, uint64(block.timestamp) + VOTING_PERIOD, 0, 0, false));
        emit MotionTabled(id, account, role);
    }

    function vote(uint256 id, bool inFavour) external only(Role.Member) {
        Motion storage m = motions[id];
        if (block.timestamp >= m.closesAt) revert VotingClosed();
        if (hasVoted[id][msg.sender]) revert AlreadyVoted();
        hasVoted[id][msg.sender] = true;
        if (inFavour) ++m.inFavour;
        else ++m.against;
        emit Voted(id, msg.sender, inFavour);
    }

    /// @dev Quorum: a third of the members as they are at execution.
    function execute(uint256 id) external {
        Motion storage m = motions[id];
        if (block.timestamp < m.closesAt) revert VotingOpen();
        uint256 turnout = uint256(m.inFavour) + m.against;
        if (m.executed || turnout * 3 < memberCount || m.inFavour <= m.against) revert NotCarried();
        m.executed = true;
        _setRole(m.account, m.role);
    }
}
