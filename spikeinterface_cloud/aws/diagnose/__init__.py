"""Why a job does not start: queries to AWS and checks of the answers."""
