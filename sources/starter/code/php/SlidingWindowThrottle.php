<?php

declare(strict_types=1);

namespace Api\Http\Middleware;

use InvalidArgumentException;
use Psr\Clock\ClockInterface;
use Psr\Http\Message\{ResponseFactoryInterface, ResponseInterface, ServerRequestInterface};
use Psr\Http\Server\{MiddlewareInterface, RequestHandlerInterface};
use Psr\Log\LoggerInterface;
use RuntimeException;

/** Counters shared by all application servers; each call must be atomic. */
interface CounterStore
{
    /** Adds one to $key, creating it with the given lifetime, and returns the new value. */
    public function increment(string $key, int $lifetimeSeconds): int;

    public function get(string $key): int;
}

final readonly class Quota
{
    public function __construct(public int $requests, public int $windowSeconds)
    {
        if ($requests < 1 || $windowSeconds < 1) {
            throw new InvalidArgumentException('a quota needs at least one request and one second');
        }
    }
}

final readonly class Verdict
{
    public function __construct(
        public bool $allowed,
        public int $remaining,
        public int $retryAfter,
    ) {
    }
}

/**
 * Sliding-window counter: the count of the running window plus the share of the
 * previous one that still overlaps. Two integers per client are enough, and unlike
 * fixed windows there is no burst of twice the quota around a boundary.
 */
final readonly class SlidingWindow
{
    public function __construct(private CounterStore $store, private ClockInterface $clock)
    {
    }

    public function hit(string $subject, Quota $quota): Verdict
    {
        $now = (float) $this->clock->now()->format('U.u');
        $window = (int) floor($now / $quota->windowSeconds);
        $elapsed = $now / $quota->windowSeconds - $window;

        $previous = $this->store->get($this->key($subject, $window - 1));
        $carried = $previous * (1 - $elapsed);
        $current = $this->store->get($this->key($subject, $window));

        if ($carried + $current + 1 > $quota->requests) {
            return new Verdict(false, 0, $this->secondsUntilFree($quota, $previous, $current, $elapsed));
        }
        // Kept for two windows, since the next one still needs the figure.
        $current = $this->store->increment($this->key($subject, $window), 2 * $quota->windowSeconds);
        return new Verdict(true, max(0, (int) floor($quota->requests - $carried - $current)), 0);
    }

    private function secondsUntilFree(Quota $quota, int $previous, int $current, float $elapsed): int
    {
        $room = $quota->requests - 1 - $current;
        if ($room < 0 || $previous === 0) {
            // The running window alone is full: nothing frees up before it ends.
            return max(1, (int) ceil((1 - $elapsed) * $quota->windowSeconds));
        }
        // Solve previous * (1 - t) <= room for the point t inside this window.
        $point = 1 - $room / $previous;
        return max(1, (int) ceil(($point - $elapsed) * $quota->windowSeconds));
    }

    private function key(string $subject, int $window): string
    {
        return sprintf('throttle:%s:%d', hash('xxh128', $subject), $window);
    }
}

final readonly class SlidingWindowThrottle implements MiddlewareInterface
{
    /** @param array<string, Quota> $quotas by plan name; "anonymous" is required */
    public function __construct(
        private SlidingWindow $window,
        private ResponseFactoryInterface $responses,
        private LoggerInterface $logger,
        private array $quotas,
    ) {
        isset($quotas['anonymous']) || throw new InvalidArgumentException('quota "anonymous" is missing');
    }

    public function process(ServerRequestInterface $request, RequestHandlerInterface $handler): ResponseInterface
    {
        [$subject, $plan] = $this->identify($request);
        $quota = $this->quotas[$plan] ?? $this->quotas['anonymous'];

        try {
            $verdict = $this->window->hit($subject, $quota);
        } catch (RuntimeException $unreachable) {
            // Fail open: a broken counter must not take the whole service down.
            $this->logger->error('throttle store unreachable', ['exception' => $unreachable]);
            return $handler->handle($request);
        }

        if ($verdict->allowed) {
            return $this->annotate($handler->handle($request), $quota, $verdict);
        }
        $this->logger->info('request throttled', [
            'plan' => $plan,
            'path' => $request->getUri()->getPath(),
            'retry_after' => $verdict->retryAfter,
        ]);
        $response = $this->responses->createResponse(429)
            ->withHeader('Retry-After', (string) $verdict->retryAfter)
            ->withHeader('Content-Type', 'application/problem+json');
        $response->getBody()->write(json_encode([
            'title' => 'Too many requests',
            'status' => 429,
            'detail' => "The plan \"$plan\" allows {$quota->requests} requests per {$quota->windowSeconds} s.",
        ], JSON_THROW_ON_ERROR));
        return $this->annotate($response, $quota, $verdict);
    }

    /** @return array{string, string} who is counted, and under which plan */
    private function identify(ServerRequestInterface $request): array
    {
        $account = $request->getAttribute('account');
        if ($account !== null) {
            return ['account:' . $account->id, $account->plan];
        }
        return ['ip:' . ($request->getServerParams()['REMOTE_ADDR'] ?? 'unknown'), 'anonymous'];
    }

    private function annotate(ResponseInterface $response, Quota $quota, Verdict $verdict): ResponseInterface
    {
        return $response
            ->withHeader('RateLimit-Policy', "{$quota->requests};w={$quota->windowSeconds}")
            ->withHeader('RateLimit-Remaining', (string) $verdict->remaining);
    }
}
