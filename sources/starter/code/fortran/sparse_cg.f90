! Compressed sparse rows and a preconditioned conjugate-gradient solver.
! The solver knows its operator only through an abstract type, so that a
! matrix-free operator can stand in for a stored one.
module linear_operators
  use, intrinsic :: iso_fortran_env, only: dp => real64, int64
  implicit none
  private
  public :: dp, linear_operator, csr_matrix, csr_from_triplets, pcg, pcg_report

  type, abstract :: linear_operator
    integer :: n = 0
  contains
    procedure(apply_iface), deferred :: apply
    procedure(diag_iface), deferred  :: diagonal
  end type linear_operator

  abstract interface
    subroutine apply_iface(self, x, y)
      import :: linear_operator, dp
      class(linear_operator), intent(in) :: self
      real(dp), intent(in), contiguous   :: x(:)
      real(dp), intent(out), contiguous  :: y(:)
    end subroutine apply_iface

    function diag_iface(self) result(d)
      import :: linear_operator, dp
      class(linear_operator), intent(in) :: self
      real(dp) :: d(self%n)
    end function diag_iface
  end interface

  type, extends(linear_operator) :: csr_matrix
    integer, allocatable  :: row_start(:), column(:)
    real(dp), allocatable :: value(:)
  contains
    procedure :: apply => csr_apply
    procedure :: diagonal => csr_diagonal
  end type csr_matrix

  type :: pcg_report
    integer  :: iterations = 0
    real(dp) :: residual = huge(1.0_dp)
    logical  :: converged = .false.
  end type pcg_report

contains

  !> Builds a matrix from unordered entries; entries at one place add up.
  function csr_from_triplets(n, i, j, v) result(a)
    integer, intent(in)  :: n, i(:), j(:)
    real(dp), intent(in) :: v(:)
    type(csr_matrix)     :: a
    integer, allocatable :: next(:)
    integer :: e, r, at

    a%n = n
    allocate (a%row_start(n + 1), source=0)
    do e = 1, size(i)
      a%row_start(i(e) + 1) = a%row_start(i(e) + 1) + 1
    end do
    a%row_start(1) = 1
    do r = 1, n
      a%row_start(r + 1) = a%row_start(r + 1) + a%row_start(r)
    end do
    allocate (a%column(size(i)), a%value(size(i)))
    next = a%row_start(:n)
    do e = 1, size(i)
      at = next(i(e))
      a%column(at) = j(e)
      a%value(at) = v(e)
      next(i(e)) = at + 1
    end do
  end function csr_from_triplets

  subroutine csr_apply(self, x, y)
    class(csr_matrix), intent(in)     :: self
    real(dp), intent(in), contiguous  :: x(:)
    real(dp), intent(out), contiguous :: y(:)
    integer :: r

    do concurrent (r = 1:self%n)
      associate (lo => self%row_start(r), hi => self%row_start(r + 1) - 1)
        y(r) = dot_product(self%value(lo:hi), x(self%column(lo:hi)))
      end associate
    end do
  end subroutine csr_apply

  function csr_diagonal(self) result(d)
    class(csr_matrix), intent(in) :: self
    real(dp) :: d(self%n)
    integer  :: r, e

    d = 0
    do r = 1, self%n
      do e = self%row_start(r), self%row_start(r + 1) - 1
        if (self%column(e) == r) d(r) = d(r) + self%value(e)
      end do
    end do
  end function csr_diagonal

  !> Jacobi-preconditioned conjugate gradients for a positive definite A.
  subroutine pcg(a, b, x, tol, max_iter, report)
    class(linear_operator), intent(in) :: a
    real(dp), intent(in)    :: b(:), tol
    real(dp), intent(inout) :: x(:)       !< initial guess, then the solution
    integer, intent(in)     :: max_iter
    type(pcg_report), intent(out) :: report
    real(dp), dimension(a%n) :: r, z, p, ap, inv_diag
    real(dp) :: rz, rz_old, alpha

    inv_diag = 1 / a%diagonal()
    call a%apply(x, ap)
    r = b - ap
    p = 0
    rz_old = 1
    do while (report%iterations < max_iter)
      report%residual = norm2(r) / max(norm2(b), tiny(tol))
      report%converged = report%residual <= tol
      if (report%converged) exit
      z = inv_diag * r
      rz = dot_product(r, z)
      p = z + (rz / rz_old) * p
      call a%apply(p, ap)
      alpha = rz / dot_product(p, ap)
      x = x + alpha * p
      r = r - alpha * ap
      rz_old = rz
      report%iterations = report%iterations + 1
    end do
  end subroutine pcg

end module linear_operators
