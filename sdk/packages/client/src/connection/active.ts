/**
 * Which room a binary frame belongs to: frames of `fastcollab.v1` name none, and mean the active one (R3).
 *
 * The two ends of a connection do not change their minds at the same moment, so each direction has its own answer:
 *
 * - What is sent next goes to the room that will be active once the gateway has read all that was sent before. That is
 *   certain after an `activate_room`, and after a `room_joined` that no later request has overtaken. While it is not
 *   certain, a frame has to be preceded by `activate_room`.
 * - What is received belongs to the room that was active when the gateway sent it, which its answers to join, activate
 *   and leave tell, since they come in order with the frames.
 */
export class ActiveRoom {
  #forSending: string | undefined;
  readonly #activations: Map<string, string> = new Map(); // rooms by the ids of the messages that activate them
  readonly #joined: Set<string> = new Set(); // the one activated last at the end

  /** Whether the room is joined at all. */
  has(roomId: string): boolean {
    return this.#joined.has(roomId);
  }

  /** Where a frame goes that is sent now; undefined if that is not certain. */
  get forSending(): string | undefined {
    return this.#forSending;
  }

  /** Where a frame comes from that is received now; undefined if no room is joined. */
  get forReceived(): string | undefined {
    return [...this.#joined].at(-1);
  }

  /** The connection has ended. */
  forget(): void {
    this.#forSending = undefined;
    this.#activations.clear();
    this.#joined.clear();
  }

  /** A request to join or leave a room was sent, which may fail. */
  becomesUncertain(): void {
    this.#forSending = undefined;
  }

  activationSent(roomId: string, messageId: string): void {
    this.#activations.set(messageId, roomId);
    this.#forSending = roomId;
  }

  /** False if `messageId` is no activation. */
  activationAcknowledged(messageId: string): boolean {
    const roomId = this.#activations.get(messageId);
    if (roomId === undefined) return false;
    this.#activations.delete(messageId);
    if (this.#joined.has(roomId)) this.#moveToEnd(roomId);
    return true;
  }

  activationRefused(messageId: string): void {
    if (this.#activations.delete(messageId)) this.#forSending = undefined;
  }

  /** `room_joined`; `moreToCome` says that another room was asked for since. */
  joined(roomId: string, moreToCome: boolean): void {
    this.#moveToEnd(roomId);
    if (this.#forSending === undefined && !moreToCome) this.#forSending = roomId;
  }

  left(roomId: string): void {
    this.#joined.delete(roomId);
    if (this.#forSending === roomId) this.#forSending = undefined;
  }

  #moveToEnd(roomId: string): void {
    this.#joined.delete(roomId);
    this.#joined.add(roomId);
  }
}
