!> Heat conduction in a rod with Crank-Nicolson and the Thomas algorithm.
!>
!> The rod consists of layers of different conductivity. The left end is held
!> at a temperature that varies with time, the right end loses heat to the air.
module heat_rod
  use, intrinsic :: iso_fortran_env, only: wp => real64, error_unit
  implicit none
  private
  public :: rod, solve_tridiagonal, wp

  type :: rod
    private
    integer :: n = 0
    real(wp) :: dx = 0, loss = 0
    real(wp), allocatable :: k_face(:)     !< conductance between cells i, i+1
    real(wp), allocatable :: capacity(:)
    real(wp), allocatable, public :: t(:)  !< cell temperatures, kelvin
  contains
    procedure :: init
    procedure :: step
    procedure :: energy
  end type rod

contains

  !> Solves a system with lower, main and upper diagonals a, b and c.
  pure subroutine solve_tridiagonal(a, b, c, rhs, x, singular)
    real(wp), intent(in)  :: a(:), b(:), c(:), rhs(:)
    real(wp), intent(out) :: x(:)
    logical, intent(out)  :: singular
    real(wp) :: cp(size(b)), m
    integer  :: i, n

    n = size(b)
    singular = abs(b(1)) < tiny(m)
    if (singular) return
    cp(1) = c(1) / b(1)
    x(1) = rhs(1) / b(1)
    forward: do i = 2, n
      m = b(i) - a(i) * cp(i - 1)
      singular = abs(m) < tiny(m)
      if (singular) return
      cp(i) = c(i) / m
      x(i) = (rhs(i) - a(i) * x(i - 1)) / m
    end do forward
    do i = n - 1, 1, -1
      x(i) = x(i) - cp(i) * x(i + 1)
    end do
  end subroutine solve_tridiagonal

  subroutine init(self, length, conductivity, capacity, loss, t0)
    class(rod), intent(out) :: self
    real(wp), intent(in)    :: length, conductivity(:), capacity(:), loss, t0

    if (size(conductivity) /= size(capacity)) then
      write (error_unit, '(a)') 'heat_rod: properties differ in length'
      error stop 1
    end if
    self%n = size(conductivity)
    self%dx = length / self%n
    ! The air sits half a cell beyond the last cell's centre.
    self%loss = 1 / (1 / loss + self%dx / (2 * conductivity(self%n)))
    self%capacity = capacity
    allocate (self%t(self%n), source=t0)
    ! Conductances in series: the harmonic mean of the two halves.
    associate (k => conductivity, n => self%n)
      self%k_face = 2 * k(:n - 1) * k(2:) / ((k(:n - 1) + k(2:)) * self%dx)
      self%k_face = [2 * k(1) / self%dx, self%k_face]   ! face to the left end
    end associate
  end subroutine init

  !> Advances by dt; t_left is the mean end temperature during the step.
  subroutine step(self, dt, t_left, t_air)
    class(rod), intent(inout) :: self
    real(wp), intent(in)      :: dt, t_left, t_air
    real(wp), dimension(self%n) :: a, b, c, flux, r
    logical :: singular

    associate (n => self%n, kf => self%k_face, t => self%t)
      r = 0.5_wp * dt / (self%capacity * self%dx)
      flux(1) = kf(1) * (t_left - t(1)) - kf(2) * (t(1) - t(2))
      flux(2:n-1) = kf(2:n-1) * (t(1:n-2) - t(2:n-1)) - kf(3:n) * (t(2:n-1) - t(3:n))
      flux(n) = kf(n) * (t(n - 1) - t(n)) - self%loss * (t(n) - t_air)

      a = -r * kf
      c = -r * eoshift(kf, 1)
      b = 1 + r * (kf + eoshift(kf, 1, boundary=self%loss))
      ! The unknown is the change during the step, so the constant ends drop out.
      call solve_tridiagonal(a, b, c, 2 * r * flux, flux, singular)
      if (singular) error stop 'heat_rod: singular step'
      t = t + flux
    end associate
  end subroutine step

  pure real(wp) function energy(self)
    class(rod), intent(in) :: self
    energy = sum(self%capacity * self%t) * self%dx
  end function energy

end module heat_rod

program heat_demo
  use heat_rod
  implicit none
  integer, parameter  :: cells = 60
  real(wp), parameter :: dt = 5.0_wp, pi = acos(-1.0_wp)
  type(rod) :: bar
  real(wp)  :: k(cells), c(cells), expected, face
  integer   :: i

  k = 50.0_wp                         ! steel ...
  k(21:40) = 0.8_wp                   ! ... with a ceramic layer in the middle
  c = merge(3.5e6_wp, 1.9e6_wp, k > 1)

  call bar%init(length=0.3_wp, conductivity=k, capacity=c, loss=12.0_wp, t0=293.0_wp)
  do i = 1, 40000
    call bar%step(dt, t_left=393.0_wp + 20 * sin(2 * pi * i * dt / 600), t_air=293.0_wp)
    if (mod(i, 10000) == 0) &
      print '(a, f8.0, a, 3f9.3, es14.5)', 't=', i * dt, ' s  T:', bar%t([1, 30, cells]), bar%energy()
  end do

  ! With a steady end the profile must match resistances in series.
  do i = 1, 60000
    call bar%step(dt, t_left=393.0_wp, t_air=293.0_wp)
  end do
  face = 0.3_wp / cells
  expected = 293 + 100 * (1 / 12.0_wp + face / 2 / 50) / (1 / 12.0_wp + sum(face / k))
  print '(a, 2f10.4)', 'right end, computed and exact:', bar%t(cells), expected
end program heat_demo
