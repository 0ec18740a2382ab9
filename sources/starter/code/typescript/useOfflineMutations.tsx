import {
  createContext, useCallback, useContext, useEffect, useMemo, useReducer, useRef,
  type ReactNode,
} from "react";

/** Writes made while offline are queued, shown optimistically, and replayed in order. */

export interface Mutation<Kind extends string = string, Body = unknown> {
  readonly id: string;
  readonly kind: Kind;
  readonly body: Body;
  readonly queuedAt: number;
}

type Status =
  | { phase: "idle" }
  | { phase: "sending"; id: string; failures: number }
  | { phase: "waiting"; retryAt: number; failures: number }
  | { phase: "rejected"; id: string; reason: string };

interface State {
  readonly queue: readonly Mutation[];
  readonly status: Status;
  readonly online: boolean;
}

type Action =
  | { type: "enqueued"; mutation: Mutation }
  | { type: "connectivity"; online: boolean }
  | { type: "started"; id: string }
  | { type: "confirmed"; id: string }
  | { type: "failed"; now: number }
  | { type: "rejected"; id: string; reason: string }
  | { type: "discarded"; id: string };

/** Thrown by `send` when the server understood the request and will never accept it. */
export class PermanentRejection extends Error {}

function without(queue: readonly Mutation[], id: string): readonly Mutation[] {
  return queue.filter((mutation) => mutation.id !== id);
}

const failuresOf = (status: Status) => ("failures" in status ? status.failures : 0);

export function reducer(state: State, action: Action): State {
  switch (action.type) {
    case "enqueued":
      return { ...state, queue: [...state.queue, action.mutation] };
    case "connectivity":
      return {
        ...state,
        online: action.online,
        // Coming back online ends a backoff early.
        status: action.online && state.status.phase === "waiting" ? { phase: "idle" } : state.status,
      };
    case "started":
      return { ...state, status: { phase: "sending", id: action.id, failures: failuresOf(state.status) } };
    case "confirmed":
      return { ...state, queue: without(state.queue, action.id), status: { phase: "idle" } };
    case "failed": {
      const failures = failuresOf(state.status) + 1;
      const delay = Math.min(60_000, 1_000 * 2 ** failures);
      return { ...state, status: { phase: "waiting", failures, retryAt: action.now + delay } };
    }
    case "rejected":
      // The queue stops: later writes may depend on the one that was refused.
      return { ...state, status: { phase: "rejected", id: action.id, reason: action.reason } };
    case "discarded":
      return { ...state, queue: without(state.queue, action.id), status: { phase: "idle" } };
  }
}

interface OfflineMutations extends State {
  enqueue<K extends string, B>(kind: K, body: B): string;
  discard(id: string): void;
}

const MutationContext = createContext<OfflineMutations | null>(null);

interface ProviderProps {
  readonly initialQueue: readonly Mutation[];
  readonly send: (mutation: Mutation, signal: AbortSignal) => Promise<void>;
  readonly persist: (queue: readonly Mutation[]) => void;
  readonly children: ReactNode;
}

export function OfflineMutationProvider({ initialQueue, send, persist, children }: ProviderProps) {
  const [state, dispatch] = useReducer(reducer, {
    queue: initialQueue,
    status: { phase: "idle" },
    online: navigator.onLine,
  });
  const { queue, status, online } = state;
  const inFlight = useRef<AbortController | null>(null);

  useEffect(() => persist(queue), [persist, queue]);

  useEffect(() => {
    const update = () => dispatch({ type: "connectivity", online: navigator.onLine });
    window.addEventListener("online", update);
    window.addEventListener("offline", update);
    return () => {
      window.removeEventListener("online", update);
      window.removeEventListener("offline", update);
      inFlight.current?.abort();
    };
  }, []);

  const head = queue[0];
  useEffect(() => {
    if (!online || !head || status.phase === "sending" || status.phase === "rejected") return;
    const delay = status.phase === "waiting" ? Math.max(0, status.retryAt - Date.now()) : 0;

    const timer = window.setTimeout(async () => {
      const controller = new AbortController();
      inFlight.current = controller;
      dispatch({ type: "started", id: head.id });
      try {
        await send(head, controller.signal);
        dispatch({ type: "confirmed", id: head.id });
      } catch (error) {
        if (controller.signal.aborted) return;
        dispatch(error instanceof PermanentRejection
          ? { type: "rejected", id: head.id, reason: error.message }
          : { type: "failed", now: Date.now() });
      }
    }, delay);
    return () => window.clearTimeout(timer);
  }, [head, online, send, status]);

  const enqueue = useCallback(<K extends string, B>(kind: K, body: B) => {
    const id = crypto.randomUUID();
    dispatch({ type: "enqueued", mutation: { id, kind, body, queuedAt: Date.now() } });
    return id;
  }, []);
  const discard = useCallback((id: string) => dispatch({ type: "discarded", id }), []);

  const value = useMemo(() => ({ ...state, enqueue, discard }), [state, enqueue, discard]);
  return <MutationContext.Provider value={value}>{children}</MutationContext.Provider>;
}

export function useOfflineMutations(): OfflineMutations {
  const value = useContext(MutationContext);
  if (!value) throw new Error("useOfflineMutations needs an <OfflineMutationProvider> above it");
  return value;
}
