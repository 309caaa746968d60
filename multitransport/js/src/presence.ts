import type { Member, PresenceChange, TransportName } from "./api";
import { Reader } from "./reader";

/** What is shown of a session: the data of its key. */
interface Shown {
  readonly user: string | null;
  readonly transport: TransportName | null;
  readonly meta: unknown;
}

/** Who is in a room. Its state room is looked at when a pass is through, so that nobody is told who leaves only to come back with the rest. */
export class Presence {
  readonly members = new Map<string, Member>();
  /** The member that each session belongs to. */
  readonly #memberOf = new Map<string, string>();
  /** The sessions of which something was told since the last look. */
  #touched = new Set<string>();

  constructor(readonly changed: (change: PresenceChange) => void) {}

  /** Return a reader to follow from now on. */
  follow(name: string): Reader {
    const doubt = () => {
      this.#touched = new Set(this.#memberOf.keys());
    };
    doubt();
    const reader = new Reader(name, {
      joined() {},
      left() {},
      lost: doubt,
      published: ({ key = "" }) => this.#touched.add(key),
      passed: () => this.#look(reader.state),
    });
    return reader;
  }

  #look(state: Reader["state"]): void {
    const change = { entered: [] as Member[], changed: [] as Member[], left: [] as Member[] };
    for (const member of this.#regrouped(state)) {
      const { id } = member;
      const former = this.members.get(id);
      if (member.metas.length) {
        this.members.set(id, member);
        if (!former) change.entered.push(member);
        else if (JSON.stringify(former) !== JSON.stringify(member)) change.changed.push(member);
      } else if (former) {
        this.members.delete(id);
        change.left.push(former);
      }
    }
    this.#touched.clear();
    if (Object.values(change).some((members) => members.length)) this.changed(change);
  }

  /** Return the members of the touched sessions as they are now; one that is gone has no metas. */
  #regrouped(state: Reader["state"]): Iterable<Member> {
    const members = new Map<string, { id: string; user: string | null; metas: Member["metas"][number][] }>();
    const regroup = (id: string, user: string | null) => {
      const known = members.get(id);
      if (known) return known;
      const metas = this.members.get(id)?.metas.filter(({ session }) => !this.#touched.has(session)) ?? [];
      const member = { id, user, metas };
      members.set(id, member);
      return member;
    };
    // In the order of their last change, which comes after that of those not touched.
    const at = (session: string) => state.get(session)?.offset ?? 0;
    for (const session of [...this.#touched].sort((a, b) => at(a) - at(b))) {
      const former = this.#memberOf.get(session);
      if (former !== undefined) regroup(former, this.members.get(former)?.user ?? null);
      this.#memberOf.delete(session);
      const shown = state.get(session)?.data as Shown | undefined;
      if (!shown) continue;
      const { user, transport, meta } = shown;
      const id = user === null ? `session:${session}` : `user:${user}`;
      this.#memberOf.set(session, id);
      regroup(id, user).metas.push({ session, transport, meta });
    }
    return members.values();
  }
}
