// A maze's text, changed square by square. What makes a maze is the server's to say.

export type Square = [number, number];

export class Level {
  readonly rows: string[];
  constructor(readonly text: string) {
    this.rows = text.split("\n");
  }
  get side(): number { return this.rows.length; }
  at([row, column]: Square): string { return this.rows[row]?.[column] ?? "#"; }
  inside([row, column]: Square): boolean {
    return row >= 0 && column >= 0 && row < this.side && column < (this.rows[row]?.length ?? 0);
  }
  wall(square: Square): boolean { return this.at(square) === "#"; }
  find(letter: string): Square | null {
    for (let row = 0; row < this.side; row++) {
      const column = [...this.rows[row]].findIndex((found) => found === letter || found === "*");
      if (column >= 0) return [row, column];
    }
    return null;
  }
  private put([row, column]: Square, letter: string): Level {
    const line = this.rows[row];
    const rows = [...this.rows];
    rows[row] = line.slice(0, column) + letter + line.slice(column + 1);
    return new Level(rows.join("\n"));
  }
  /** With a wall there or none; mouse and cheese are never walled in. */
  walled(square: Square, wall: boolean): Level {
    if (!"#.".includes(this.at(square))) return this;
    return this.put(square, wall ? "#" : ".");
  }
  /** Without the mouse ("M") or the cheese ("C"). */
  without(letter: "M" | "C"): Level {
    const from = this.find(letter);
    if (!from) return this;
    return this.put(from, this.at(from) === "*" ? (letter === "M" ? "C" : "M") : ".");
  }
  /** With the mouse or the cheese on a free square. */
  moved(letter: "M" | "C", to: Square): Level {
    if (this.wall(to) || !this.inside(to)) return this;
    const bare = this.without(letter);
    return bare.put(to, bare.at(to) === "." ? letter : "*");
  }
}
