package org.example.limiter

import munit.{FunSuite, Location, ScalaCheckSuite}
import org.scalacheck.{Arbitrary, Gen, Shrink}
import org.scalacheck.Prop.*

import scala.concurrent.duration.*
import scala.concurrent.{ExecutionContext, Future}

/** The contract of [[TokenBucket]]: a burst up to the capacity, then the refill
  * rate, never more, whatever the order and the size of the requests.
  */
class TokenBucketSuite extends FunSuite:

  /** A clock that only moves when told to. */
  final class ManualClock(private var now: Long = 0) extends Clock:
    def nanos: Long = now
    def advance(d: FiniteDuration): Unit = now += d.toNanos
    def rewind(d: FiniteDuration): Unit = now -= d.toNanos

  /** Each test gets a bucket of 10 that refills 5 per second. */
  val bucket = FunFixture[(TokenBucket, ManualClock)](
    setup = _ =>
      val clock = ManualClock()
      (TokenBucket(capacity = 10, perSecond = 5, clock), clock)
    ,
    teardown = (bucket, _) => bucket.close()
  )

  extension (b: TokenBucket)
    private def assertGrants(n: Int)(using Location): Unit =
      assert(b.tryTake(n).isGranted, s"expected $n tokens, ${b.available} are there")

    private def assertDenies(n: Int, retryAfter: FiniteDuration)(using Location): Unit =
      assertEquals(b.tryTake(n), Decision.Denied(retryAfter))

  bucket.test("a new bucket is full"): (b, _) =>
    b.assertGrants(10)
    b.assertDenies(1, retryAfter = 200.millis)

  bucket.test("tokens come back at the refill rate"): (b, clock) =>
    b.assertGrants(10)
    clock.advance(600.millis)
    b.assertGrants(3)
    b.assertDenies(1, retryAfter = 200.millis)

  bucket.test("idle time does not fill beyond the capacity"): (b, clock) =>
    clock.advance(1.hour)
    assertEquals(b.available, 10)

  bucket.test("fractions of a token are not lost between calls"): (b, clock) =>
    b.assertGrants(10)
    for _ <- 1 to 10 do
      clock.advance(100.millis)
      b.available // reading must not round the remainder away
    assertEquals(b.available, 5)

  bucket.test("a denied request takes nothing"): (b, _) =>
    b.assertGrants(8)
    b.assertDenies(5, retryAfter = 600.millis)
    b.assertGrants(2)

  bucket.test("a request larger than the bucket can never be met"): (b, _) =>
    val problem = intercept[IllegalArgumentException](b.tryTake(11))
    assertNoDiff(problem.getMessage, "requested 11 tokens from a bucket of 10")

  bucket.test("a clock that steps back is ignored"): (b, clock) =>
    b.assertGrants(10)
    clock.rewind(5.seconds)
    assertEquals(b.available, 0)
    clock.advance(5.seconds)
    assertEquals(b.available, 0)

  test("concurrent takers share one allowance".tag(munit.Slow)):
    given ExecutionContext = munitExecutionContext
    val clock = ManualClock()
    val shared = TokenBucket(capacity = 500, perSecond = 1, clock)
    val takers = List.fill(2000)(Future(shared.tryTake(1).isGranted))
    Future.sequence(takers).map(results => assertEquals(results.count(identity), 500))

  test("describe is stable, because dashboards parse it".ignore):
    assertNoDiff(TokenBucket(10, 5, ManualClock()).describe, "bucket 10/10, +5/s")

/** Properties over whole histories of waiting and taking. */
class TokenBucketProperties extends ScalaCheckSuite:

  enum Step:
    case Wait(d: FiniteDuration)
    case Take(n: Int)

  final case class Scenario(capacity: Int, perSecond: Int, steps: List[Step])

  given Arbitrary[Scenario] = Arbitrary:
    for
      capacity <- Gen.choose(1, 50)
      rate <- Gen.choose(1, 100)
      wait = Gen.choose(0, 3000).map(ms => Step.Wait(ms.millis))
      take = Gen.choose(1, capacity).map(Step.Take(_))
      steps <- Gen.listOf(Gen.frequency(1 -> wait, 3 -> take))
    yield Scenario(capacity, rate, steps)

  /** Drop steps, but keep the bucket as it is: a smaller capacity could make a
    * remaining request illegal and hide the real failure.
    */
  given Shrink[Scenario] = Shrink.withLazyList: s =>
    LazyList.from(s.steps.indices).map(i => s.copy(steps = s.steps.patch(i, Nil, 1)))

  private def replay(s: Scenario): (granted: Int, elapsed: FiniteDuration) =
    var now = 0L
    val bucket = TokenBucket(s.capacity, s.perSecond, () => now)
    val granted = s.steps.map {
      case Step.Wait(d) => now += d.toNanos; 0
      case Step.Take(n) => if bucket.tryTake(n).isGranted then n else 0
    }.sum
    (granted = granted, elapsed = now.nanos)

  property("never grants more than a burst plus the refill"):
    forAll: (s: Scenario) =>
      val (granted, elapsed) = replay(s)
      granted <= s.capacity + elapsed.toUnit(SECONDS) * s.perSecond

  property("waiting as long as it was told to is always enough"):
    forAll: (s: Scenario) =>
      var now = 0L
      val bucket = TokenBucket(s.capacity, s.perSecond, () => now)
      s.steps.collect { case Step.Take(n) => n }.forall: n =>
        bucket.tryTake(n) match
          case Decision.Granted => true
          case Decision.Denied(retryAfter) =>
            now += retryAfter.toNanos
            bucket.tryTake(n).isGranted
