! Simulates a reservoir with a spillway and a rule curve, driven by a namelist.
!
!   reservoir < run.nml
!
!   &dam   capacity=120.0, dead=8.0, spill_coeff=14.0, rule=12*90.0 /
!   &run   years=3, start=70.0, seed=5, demand=6*4.0, 6*9.0 /
!
! Volumes are millions of cubic metres, flows are per month.
program reservoir
  use, intrinsic :: iso_fortran_env, only: iostat_end, error_unit, real64
  implicit none
  integer, parameter :: wp = real64, months = 12

  type :: balance
    real(wp) :: inflow = 0, supplied = 0, spilled = 0, evaporated = 0, short = 0
  end type balance

  interface operator(+)
    procedure :: add_balance
  end interface operator(+)

  real(wp) :: capacity, dead, spill_coeff, rule(months), start, demand(months)
  integer  :: years, seed
  namelist /dam/ capacity, dead, spill_coeff, rule
  namelist /run/ years, start, seed, demand

  character(len=3), parameter :: name(months) = ['Jan', 'Feb', 'Mar', 'Apr', &
    'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
  real(wp), parameter :: mean_inflow(months) = [real(wp) :: 9, 11, 14, 13, 8, &
    4, 2, 2, 3, 5, 7, 8]

  type(balance) :: month_sum(months), total, flows
  real(wp) :: volume, first, residual
  integer  :: y, m, short_months

  call read_input
  call seed_generator(seed)
  volume = start
  first = start
  short_months = 0

  do y = 1, years
    do m = 1, months
      call advance(m, volume, flows)
      month_sum(m) = month_sum(m) + flows
      if (flows%short > 0) short_months = short_months + 1
    end do
  end do

  write (*, '(a, t8, 5a10)') 'month', 'inflow', 'supplied', 'spilled', 'evapor.', 'short'
  do m = 1, months
    write (*, '(a, t8, 5f10.2)') name(m), month_sum(m)
    total = total + month_sum(m)
  end do
  write (*, '(a, t8, 5f10.2)') 'total', total
  write (*, '(a, i0, a, i0)') 'months with a shortage: ', short_months, ' of ', years * months

  ! Water is neither made nor lost: the books have to close.
  residual = first + total%inflow - total%supplied - total%spilled - total%evaporated - volume
  if (abs(residual) > 1e-8_wp * max(total%inflow, 1.0_wp)) error stop 'the mass balance is off'

contains

  subroutine read_input
    integer :: ios
    character(len=120) :: msg

    capacity = 120; dead = 8; spill_coeff = 14; rule = 90
    years = 10; start = 60; seed = 1; demand = 6.5_wp
    read (*, nml=dam, iostat=ios, iomsg=msg)
    if (ios == 0) read (*, nml=run, iostat=ios, iomsg=msg)
    if (ios /= 0 .and. ios /= iostat_end) call fail('input: ' // trim(msg))
    if (any(rule > capacity) .or. dead < 0 .or. dead >= capacity) &
      call fail('need 0 <= dead < capacity and rule <= capacity')
    if (start < dead .or. start > capacity) call fail('start volume out of range')
  end subroutine read_input

  subroutine fail(why)
    character(len=*), intent(in) :: why
    write (error_unit, '(2a)') 'reservoir: ', why
    error stop 2
  end subroutine fail

  subroutine seed_generator(s)
    integer, intent(in) :: s
    integer :: k, n
    call random_seed(size=n)
    call random_seed(put=[(7919 * s + 104729 * k, k = 1, n)])
  end subroutine seed_generator

  !> Changes the volume by one month's flows and reports them.
  subroutine advance(m, v, b)
    integer, intent(in)     :: m
    real(wp), intent(inout) :: v
    type(balance), intent(out) :: b
    real(wp) :: u(2), head

    call random_number(u)
    ! log-normal around the long-term mean, by Box and Muller
    b%inflow = mean_inflow(m) * exp(0.4_wp * sqrt(-2 * log(1 - u(1))) &
               * cos(2 * acos(-1.0_wp) * u(2)) - 0.08_wp)
    v = v + b%inflow

    ! Evaporation follows the surface, which grows as volume ** (2/3).
    b%evaporated = min(v, merge(0.05_wp, 0.015_wp, m >= 5 .and. m <= 9) * v ** (2.0_wp / 3))
    v = v - b%evaporated

    ! In a dry spell supply stops at the dead volume.
    b%supplied = max(0.0_wp, min(demand(m), v - dead))
    b%short = demand(m) - b%supplied
    v = v - b%supplied

    ! Broad-crested weir: discharge goes with head ** 1.5 over the rule curve.
    head = max(0.0_wp, v - rule(m)) / 10
    b%spilled = min(v - min(v, rule(m)), spill_coeff * head ** 1.5_wp)
    v = v - b%spilled
    if (v > capacity) then
      b%spilled = b%spilled + (v - capacity)
      v = capacity
    end if
  end subroutine advance

  elemental type(balance) function add_balance(a, b)
    type(balance), intent(in) :: a, b
    add_balance = balance(a%inflow + b%inflow, a%supplied + b%supplied, &
                          a%spilled + b%spilled, a%evaporated + b%evaporated, a%short + b%short)
  end function add_balance

end program reservoir
