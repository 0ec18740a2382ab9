! Adaptive Gauss-Kronrod quadrature (7-15 points) with its test driver.
module quadrature
  use, intrinsic :: iso_fortran_env, only: dp => real64
  implicit none
  private
  public :: dp, integrate, quad_result

  type :: quad_result
    real(dp) :: value = 0, error = 0
    integer  :: evaluations = 0
    logical  :: ok = .true.
  end type quad_result

  abstract interface
    pure function integrand(x) result(y)
      import :: dp
      real(dp), intent(in) :: x
      real(dp) :: y
    end function integrand
  end interface

  ! Kronrod nodes; the even-numbered ones are the Gauss nodes.
  real(dp), parameter :: node(8) = [ &
    0.991455371120812639206854697526329_dp, 0.949107912342758524526189684047851_dp, &
    0.864864423359769072789712788640926_dp, 0.741531185599394439863864773280788_dp, &
    0.586087235467691130294144545080060_dp, 0.405845151377397166906606412076961_dp, &
    0.207784955007898467600689403773245_dp, 0.0_dp]
  real(dp), parameter :: wk(8) = [ &
    0.022935322010529224963732008058970_dp, 0.063092092629978553290700663189204_dp, &
    0.104790010322250183839876322541518_dp, 0.140653259715525918745189590510238_dp, &
    0.169004726639267902826583426598550_dp, 0.190350578064785409913256402421014_dp, &
    0.204432940075298892414161999234649_dp, 0.209482141084727828012999174891714_dp]
  real(dp), parameter :: wg(4) = [ &
    0.129484966168869693270611432679082_dp, 0.279705391489276667901467771423780_dp, &
    0.381830050505118944950369775488975_dp, 0.417959183673469387755102040816327_dp]

contains

  pure subroutine panel(f, a, b, kronrod, error)
    procedure(integrand) :: f
    real(dp), intent(in)  :: a, b
    real(dp), intent(out) :: kronrod, error
    real(dp) :: mid, half, y, gauss
    integer  :: i

    mid = 0.5_dp * (a + b)
    half = 0.5_dp * (b - a)
    y = f(mid)
    kronrod = wk(8) * y
    gauss = wg(4) * y
    do i = 1, 7
      y = f(mid - half * node(i)) + f(mid + half * node(i))
      kronrod = kronrod + wk(i) * y
      if (mod(i, 2) == 0) gauss = gauss + wg(i / 2) * y
    end do
    error = abs(kronrod - gauss) * abs(half)
    kronrod = kronrod * half
  end subroutine panel

  !> Integrates f over [a, b] by bisecting where the estimate is poor.
  pure recursive function integrate(f, a, b, tol, depth) result(res)
    procedure(integrand) :: f
    real(dp), intent(in) :: a, b, tol
    integer, intent(in), optional :: depth
    type(quad_result) :: res, left, right
    integer  :: level
    real(dp) :: mid

    level = 0
    if (present(depth)) level = depth
    call panel(f, a, b, res%value, res%error)
    res%evaluations = 15
    if (res%error <= tol) return
    mid = 0.5_dp * (a + b)
    if (level >= 40 .or. abs(b - a) <= 64 * spacing(mid)) then
      res%ok = .false.
      return
    end if
    left = integrate(f, a, mid, 0.5_dp * tol, level + 1)
    right = integrate(f, mid, b, 0.5_dp * tol, level + 1)
    res = quad_result(left%value + right%value, left%error + right%error, &
                      15 + left%evaluations + right%evaluations, left%ok .and. right%ok)
  end function integrate

end module quadrature

program adaptive_quadrature_test
  use quadrature
  implicit none
  real(dp), parameter :: pi = acos(-1.0_dp)
  integer :: failures = 0

  call check('polynomial of degree 22', integrate(poly, -1.0_dp, 2.0_dp, 1e-9_dp), &
             (2.0_dp**23 + 1) / 23)
  call check('arctangent', integrate(lorentz, -1.0_dp, 1.0_dp, 1e-12_dp), 2 * 1e3_dp * atan(1e3_dp))
  call check('square root at an end', integrate(root, 0.0_dp, 1.0_dp, 1e-7_dp), 2.0_dp / 3)
  call check('kink inside', integrate(kink, 0.0_dp, 1.0_dp, 1e-12_dp), 1 / 9.0_dp + 1 / 18.0_dp + 1 / 9.0_dp)
  call check('oscillation', integrate(wave, 0.0_dp, pi, 1e-12_dp), pi / 2)
  call check('reversed limits', integrate(root, 1.0_dp, 0.0_dp, 1e-7_dp), -2.0_dp / 3)
  if (failures > 0) error stop 1

contains

  subroutine check(name, res, exact)
    character(len=*), intent(in)  :: name
    type(quad_result), intent(in) :: res
    real(dp), intent(in) :: exact
    logical :: good

    good = res%ok .and. abs(res%value - exact) <= 1e-9_dp * max(1.0_dp, abs(exact))
    if (.not. good) failures = failures + 1
    print '(a4, 1x, a24, es11.3, i7)', merge('ok  ', 'FAIL', good), name, &
      res%value - exact, res%evaluations
  end subroutine check

  pure real(dp) function poly(x)
    real(dp), intent(in) :: x
    poly = x**22
  end function poly

  pure real(dp) function lorentz(x)
    real(dp), intent(in) :: x
    lorentz = 1 / (x**2 + 1e-6_dp)
  end function lorentz

  pure real(dp) function root(x)
    real(dp), intent(in) :: x
    root = sqrt(x)
  end function root

  pure real(dp) function kink(x)
    real(dp), intent(in) :: x
    kink = abs(x - 1 / 3.0_dp)
  end function kink

  pure real(dp) function wave(x)
    real(dp), intent(in) :: x
    wave = sin(75 * x)**2
  end function wave

end program adaptive_quadrature_test
