import type { Member, PresenceChange } from "./api";
import { Reader } from "./reader";

/** Who is in a room. Its state room is looked at when a pass is through, so that nobody is told who leaves only to come back with the rest. */
export class Presence {
  readonly members = new Map<string, Member>();
  /** Of whom something was told since the last look. */
  #touched = new Set<string>();

  constructor(readonly changed: (change: PresenceChange) => void) {}

  /** Return a reader to follow from now on. */
  follow(name: string): Reader {
    const doubt = () => {
      this.#touched = new Set(this.members.keys());
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
    for (const id of this.#touched) {
      const former = this.members.get(id);
      const data = state.get(id)?.data as Omit<Member, "id"> | undefined;
      if (data) {
        const member = { id, ...data };
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
}
