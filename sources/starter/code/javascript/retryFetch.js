'use strict';

/**
 * fetch() with retries, for calls between services.
 *
 * - Retries network failures and 408/425/429/5xx, but only for requests that are
 *   safe to repeat: idempotent methods, or any method with an Idempotency-Key.
 * - Honours Retry-After in both of its forms (seconds, HTTP date).
 * - Waits with "full jitter": uniform between zero and an exponential ceiling.
 * - Shares a retry budget between calls, so that an outage upstream does not
 *   multiply the load by the number of attempts.
 */

const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);
const RETRYABLE_STATUS = new Set([408, 425, 429, 500, 502, 503, 504]);

class RetryBudget {
  /** Each first attempt earns `ratio` tokens; each retry spends one. */
  constructor({ ratio = 0.1, reserve = 10 } = {}) {
    this.ratio = ratio;
    this.reserve = reserve;
    this.tokens = reserve;
  }

  earn() {
    this.tokens = Math.min(this.reserve, this.tokens + this.ratio);
  }

  spend() {
    if (this.tokens < 1) return false;
    this.tokens -= 1;
    return true;
  }
}

function retryAfterMs(response, now) {
  const header = response.headers.get('retry-after');
  if (header === null) return null;
  if (/^\d+$/.test(header)) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}

function isRepeatable(method, headers) {
  return IDEMPOTENT.has(method) || new Headers(headers).has('idempotency-key');
}

function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/**
 * @param {object} [config]
 * @param {number} [config.attempts]      upper bound on tries, the first included
 * @param {number} [config.baseMs]        ceiling of the first wait
 * @param {number} [config.maxWaitMs]     ceiling of every wait; a longer Retry-After gives up
 * @param {number} [config.timeoutMs]     limit for one attempt
 * @param {RetryBudget} [config.budget]
 * @param {typeof fetch} [config.fetch]   for tests
 */
function createRetryFetch({
  attempts = 4,
  baseMs = 100,
  maxWaitMs = 5_000,
  timeoutMs = 10_000,
  budget = new RetryBudget(),
  fetch: doFetch = globalThis.fetch,
  random = Math.random,
  onRetry = () => {},
} = {}) {
  return async function retryFetch(resource, init = {}) {
    const method = (init.method ?? 'GET').toUpperCase();
    // A stream can be read once only, so it rules out a second attempt.
    const canRepeat = isRepeatable(method, init.headers)
      && !(init.body instanceof ReadableStream);
    budget.earn();

    for (let attempt = 1; ; attempt += 1) {
      const timeout = AbortSignal.timeout(timeoutMs);
      const signal = init.signal ? AbortSignal.any([init.signal, timeout]) : timeout;

      let response = null;
      let failure = null;
      try {
        response = await doFetch(resource, { ...init, method, signal });
        if (!RETRYABLE_STATUS.has(response.status)) return response;
      } catch (error) {
        if (init.signal?.aborted) throw error; // the caller gave up; so do we
        failure = error;
      }

      const giveUp = () => {
        if (failure) throw failure;
        return response;
      };
      if (!canRepeat || attempt >= attempts) return giveUp();

      const asked = response ? retryAfterMs(response, Date.now()) : null;
      if (asked !== null && asked > maxWaitMs) return giveUp();
      if (!budget.spend()) return giveUp();

      const ceiling = Math.min(maxWaitMs, baseMs * 2 ** (attempt - 1));
      const wait = Math.max(asked ?? 0, random() * ceiling);
      onRetry({ attempt, wait, status: response?.status ?? null, error: failure });

      await response?.body?.cancel(); // release the connection before waiting
      await sleep(wait, init.signal);
    }
  };
}

module.exports = { createRetryFetch, RetryBudget };
