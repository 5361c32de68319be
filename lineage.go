package weft

// A Lineage is the part of the history around one Data: what it came from and what
// was made of it. The edges are in the Runs: from inputs to the Run, from the Run to
// its outputs and log. Of the Data it says what they are and where they come from, and
// nothing of their content.
type Lineage struct {
	Start DataID
	Data  []Data
	Runs  []Run
	Plans map[PlanID]Plan // of the Runs

	Origins map[DataID]Origin // of what was imported
}

// A LineageQuery asks for the Lineage of a Data. Depth counts steps from Data to
// Data; 0 is without end. Each step leads to the producing Run with everything it
// read and wrote (upstream), or to every consuming Run with everything it read and
// wrote (downstream). After is the event position that the answer must include.
type LineageQuery struct {
	Project    ProjectID
	Start      DataID
	Upstream   bool
	Downstream bool
	Depth      int
	After      Cursor
}
