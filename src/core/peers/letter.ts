/** How an item lies in the message log: the message as any other, and a letter that says what to do with it. */
import type { Publication } from "../publication.ts";
import type { DurableItem, Letter } from "./message.ts";

const nothing = new Uint8Array();

export function toLetter(item: DurableItem): { publication: Publication; letter: Letter } {
  if (item.type === "removeRoute") {
    // No message belongs to it: the filter stands in the place of a Topic Name.
    const message = { topicName: item.filter, payload: nothing, qos: 0, retain: false } as const;
    return { publication: { message }, letter: { type: "removeRoute", version: item.version } };
  }
  const { publication, ...letter } = item;
  return { publication, letter };
}

export function fromLetter(publication: Publication, letter: Letter): DurableItem {
  if (letter.type === "removeRoute") return { ...letter, filter: publication.message.topicName };
  return { ...letter, publication };
}
