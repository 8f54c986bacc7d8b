/**
 * Who this tab is. Two tabs side by side are two people, so that one can try things out alone; and who closes a tab and
 * opens another is the same person again, whose pending edits are found.
 *
 * So the guests of this browser are kept in a list, and a tab is the first of them that no other tab is. It says so by
 * holding a lock as long as it lives; a tab that is loaded again remembers which one it was.
 */

export interface Guest {
  readonly userId: string;
  readonly name: string;
  readonly color: string;
}

const GUESTS = 'fastcollab-demo-guests';
const SEAT = 'fastcollab-demo-seat';
const MOST_SEATS = 50;

/** The place of this tab in the list of guests. */
export async function takeSeat(): Promise<number> {
  const remembered = Number(sessionStorage.getItem(SEAT) ?? Number.NaN);
  const order = Array.from({ length: MOST_SEATS }, (_, seat) => seat);
  for (const seat of Number.isInteger(remembered) ? [remembered, ...order] : order) {
    if (await holds(`${SEAT}-${seat}`)) {
      sessionStorage.setItem(SEAT, String(seat));
      return seat;
    }
  }
  throw new Error(`no more than ${MOST_SEATS} tabs of one browser can be guests`);
}

/** Who sat there before. */
export function guestOf(seat: number): Guest | undefined {
  return readGuests()[seat];
}

export function remember(seat: number, guest: Guest): void {
  const guests = readGuests();
  guests[seat] = guest;
  localStorage.setItem(GUESTS, JSON.stringify(guests));
}

function readGuests(): Record<number, Guest> {
  try {
    return JSON.parse(localStorage.getItem(GUESTS) ?? '{}');
  } catch {
    return {};
  }
}

/** Takes a lock and keeps it as long as the page lives; false if another tab has it. */
function holds(name: string): Promise<boolean> {
  return new Promise(resolve => {
    void navigator.locks.request(name, { ifAvailable: true }, lock => {
      resolve(lock !== null);
      return lock ? new Promise(() => {}) : undefined;
    });
  });
}
