// What a job's state is called. A job is as the server tells it: {number, work, state, done, total, lines, file?, longest?, why?}.
import { count } from "/shared/units.js";

export const ended = ({ state }) => ["finished", "cancelled", "declined"].includes(state);

export const percent = ({ done, total, state }) => (state === "finished" ? 100 : total ? Math.floor((done * 100) / total) : 0);

export function sentence(job) {
  switch (job.state) {
    case "looking":
      return "Looking for files";
    case "asking":
      return `Waiting for an answer about ${count(job.total)} files`;
    case "counting":
      return `${count(job.done)} of ${count(job.total)} files`;
    case "finished":
      return `${count(job.lines)} lines`;
    case "declined":
      return job.why ? "Nobody answered" : "Declined";
    default:
      return job.state[0].toUpperCase() + job.state.slice(1);
  }
}
