/** Who is there: a few faces, and a list of all. */

import type { Participant } from '@fastcollab/client';
import { shallowEqual, useOthers } from '@fastcollab/react';
import type { ReactNode } from 'react';
import { useSession } from '../collab/session.js';
import { TEST_IDS } from '../testids.js';
import { ownColor } from './color.js';
import { Menu } from './Menu.js';
import { NARROW, useMediaQuery } from './measures.js';

const FACES = { wide: 4, narrow: 1 };

interface Person {
  readonly userId: string;
  readonly name: string;
  readonly color: string;
}

/** Who the others are, whatever they show. */
function people(others: readonly Participant[]): Person[] {
  return others.map(personOf);
}

const persons = new WeakMap<Participant, Person>();

function personOf(participant: Participant): Person {
  let person = persons.get(participant);
  if (!person) {
    const { userId, name, color } = participant;
    person = { userId, name, color };
    persons.set(participant, person);
  }
  return person;
}

function samePeople(a: readonly Person[], b: readonly Person[]): boolean {
  return a.length === b.length && a.every((person, at) => shallowEqual(person, b[at]));
}

export function Participants(): ReactNode {
  const { guest } = useSession();
  const others = useOthers(people, samePeople);
  const faces = useMediaQuery(NARROW) ? FACES.narrow : FACES.wide;
  const shown = others.slice(0, faces);
  const count = others.length + 1;
  return (
    <Menu
      label={`${count} ${count === 1 ? 'person is' : 'people are'} here`}
      className="faces"
      button={
        <>
          <Face person={guest} />
          {shown.map(person => (
            <Face key={person.userId} person={person} />
          ))}
          {others.length > faces && (
            <span className="face face-more" aria-hidden>
              +{others.length - faces}
            </span>
          )}
        </>
      }
    >
      {() => (
        <ul className="people-list">
          <li data-testid={TEST_IDS.participant} data-user={guest.userId}>
            <Face person={guest} />
            {guest.name} <span className="muted">(you)</span>
          </li>
          {others.map(person => (
            <li key={person.userId} data-testid={TEST_IDS.participant} data-user={person.userId}>
              <Face person={person} />
              {person.name}
            </li>
          ))}
        </ul>
      )}
    </Menu>
  );
}

function Face({ person: { name, color } }: { person: Person }): ReactNode {
  return (
    <span className="face" style={ownColor(color)} aria-hidden>
      {initials(name)}
    </span>
  );
}

function initials(name: string): string {
  return name
    .split(/\s+/)
    .slice(0, 2)
    .map(word => [...word][0] ?? '')
    .join('')
    .toUpperCase();
}
