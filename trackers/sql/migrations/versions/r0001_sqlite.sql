CREATE TABLE trackers_store (
	id INTEGER NOT NULL,
	uid VARCHAR(32) NOT NULL,
	created_at BIGINT NOT NULL,
	artifact_root TEXT NOT NULL,
	CONSTRAINT pk_trackers_store PRIMARY KEY (id),
	CONSTRAINT ck_trackers_store_one_row CHECK (id = 1)
)
;

CREATE TABLE trackers_counters (
	name VARCHAR(32) NOT NULL,
	next INTEGER NOT NULL,
	CONSTRAINT pk_trackers_counters PRIMARY KEY (name)
)
 WITHOUT ROWID
;

CREATE TABLE trackers_experiments (
	id INTEGER NOT NULL,
	uid VARCHAR(32) NOT NULL,
	name VARCHAR(250) NOT NULL,
	live_name VARCHAR(250),
	kind VARCHAR(16) NOT NULL,
	description TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	deleted_at BIGINT,
	CONSTRAINT pk_trackers_experiments PRIMARY KEY (id),
	CONSTRAINT uq_trackers_experiments_uid UNIQUE (uid),
	CONSTRAINT uq_trackers_experiments_live_name UNIQUE (live_name)
)
;

CREATE TABLE trackers_datasets (
	id INTEGER NOT NULL,
	name VARCHAR(250) NOT NULL,
	digest VARCHAR(64) NOT NULL,
	rows INTEGER,
	schema TEXT,
	source TEXT NOT NULL,
	CONSTRAINT pk_trackers_datasets PRIMARY KEY (id),
	CONSTRAINT uq_trackers_datasets_name_digest UNIQUE (name, digest)
)
;

CREATE TABLE trackers_blobs (
	digest VARCHAR(64) NOT NULL,
	size INTEGER NOT NULL,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_trackers_blobs PRIMARY KEY (digest)
)
 WITHOUT ROWID
;

CREATE TABLE trackers_registered_models (
	id INTEGER NOT NULL,
	name VARCHAR(250) NOT NULL,
	description TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_trackers_registered_models PRIMARY KEY (id),
	CONSTRAINT uq_trackers_registered_models_name UNIQUE (name)
)
;

CREATE TABLE trackers_registry_history (
	id INTEGER NOT NULL,
	name VARCHAR(250) NOT NULL,
	action VARCHAR(32) NOT NULL,
	alias VARCHAR(250),
	old_version INTEGER,
	new_version INTEGER,
	actor TEXT NOT NULL,
	host TEXT NOT NULL,
	reason TEXT NOT NULL,
	time BIGINT NOT NULL,
	details TEXT NOT NULL,
	CONSTRAINT pk_trackers_registry_history PRIMARY KEY (id)
)
;

CREATE INDEX ix_trackers_registry_history_name_id ON trackers_registry_history (name, id)
;

CREATE TRIGGER trackers_registry_history_no_update BEFORE UPDATE ON trackers_registry_history BEGIN SELECT RAISE(ABORT, 'the history of the registry is append-only'); END
;

CREATE TRIGGER trackers_registry_history_no_delete BEFORE DELETE ON trackers_registry_history BEGIN SELECT RAISE(ABORT, 'the history of the registry is append-only'); END
;

CREATE TABLE trackers_experiment_tags (
	experiment_id INTEGER NOT NULL,
	name VARCHAR(250) NOT NULL,
	value TEXT NOT NULL,
	CONSTRAINT pk_trackers_experiment_tags PRIMARY KEY (experiment_id, name),
	CONSTRAINT fk_trackers_experiment_tags_experiment_id FOREIGN KEY(experiment_id) REFERENCES trackers_experiments (id) ON DELETE CASCADE
)
 WITHOUT ROWID
;

CREATE TABLE trackers_studies (
	id INTEGER NOT NULL,
	mode VARCHAR(16) NOT NULL,
	directions TEXT NOT NULL,
	metric_names TEXT NOT NULL,
	seed INTEGER NOT NULL,
	total_trials INTEGER,
	status VARCHAR(16) NOT NULL,
	reason TEXT NOT NULL,
	started_at BIGINT,
	ended_at BIGINT,
	last_seq INTEGER NOT NULL,
	epoch INTEGER NOT NULL,
	renewals INTEGER NOT NULL,
	owner_user TEXT,
	owner_host TEXT,
	owner_pid INTEGER,
	owner_started DOUBLE,
	owner_since BIGINT,
	owner_ended BIGINT,
	CONSTRAINT pk_trackers_studies PRIMARY KEY (id),
	CONSTRAINT fk_trackers_studies_id FOREIGN KEY(id) REFERENCES trackers_experiments (id) ON DELETE CASCADE
)
;

CREATE TABLE trackers_runs (
	id INTEGER NOT NULL,
	uid VARCHAR(32) NOT NULL,
	experiment_id INTEGER NOT NULL,
	number INTEGER,
	parent_id INTEGER,
	name VARCHAR(250) NOT NULL,
	state SMALLINT NOT NULL,
	user TEXT NOT NULL,
	host TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	started_at BIGINT,
	ended_at BIGINT,
	archived_at BIGINT,
	CONSTRAINT pk_trackers_runs PRIMARY KEY (id),
	CONSTRAINT uq_trackers_runs_experiment_id_number UNIQUE (experiment_id, number),
	CONSTRAINT uq_trackers_runs_uid UNIQUE (uid),
	CONSTRAINT fk_trackers_runs_experiment_id FOREIGN KEY(experiment_id) REFERENCES trackers_experiments (id) ON DELETE CASCADE,
	CONSTRAINT fk_trackers_runs_parent_id FOREIGN KEY(parent_id) REFERENCES trackers_runs (id) ON DELETE CASCADE
)
;

CREATE INDEX ix_trackers_runs_created_at_id ON trackers_runs (created_at, id)
;

CREATE INDEX ix_trackers_runs_parent_id ON trackers_runs (parent_id)
;

CREATE TABLE trackers_registered_model_tags (
	model_id INTEGER NOT NULL,
	name VARCHAR(250) NOT NULL,
	value TEXT NOT NULL,
	CONSTRAINT pk_trackers_registered_model_tags PRIMARY KEY (model_id, name),
	CONSTRAINT fk_trackers_registered_model_tags_model_id FOREIGN KEY(model_id) REFERENCES trackers_registered_models (id) ON DELETE CASCADE
)
;

CREATE TABLE trackers_study_documents (
	study_id INTEGER NOT NULL,
	name VARCHAR(32) NOT NULL,
	content TEXT NOT NULL,
	CONSTRAINT pk_trackers_study_documents PRIMARY KEY (study_id, name),
	CONSTRAINT fk_trackers_study_documents_study_id FOREIGN KEY(study_id) REFERENCES trackers_studies (id) ON DELETE CASCADE
)
;

CREATE TABLE trackers_study_attrs (
	study_id INTEGER NOT NULL,
	scope VARCHAR(8) NOT NULL,
	name VARCHAR(250) NOT NULL,
	value TEXT NOT NULL,
	CONSTRAINT pk_trackers_study_attrs PRIMARY KEY (study_id, scope, name),
	CONSTRAINT fk_trackers_study_attrs_study_id FOREIGN KEY(study_id) REFERENCES trackers_studies (id) ON DELETE CASCADE
)
;

CREATE TABLE trackers_distributions (
	study_id INTEGER NOT NULL,
	name VARCHAR(250) NOT NULL,
	spec TEXT NOT NULL,
	CONSTRAINT pk_trackers_distributions PRIMARY KEY (study_id, name),
	CONSTRAINT fk_trackers_distributions_study_id FOREIGN KEY(study_id) REFERENCES trackers_studies (id) ON DELETE CASCADE
)
;

CREATE TABLE trackers_events (
	study_id INTEGER NOT NULL,
	seq INTEGER NOT NULL,
	kind VARCHAR(32) NOT NULL,
	number INTEGER,
	data TEXT NOT NULL,
	time BIGINT NOT NULL,
	CONSTRAINT pk_trackers_events PRIMARY KEY (study_id, seq),
	CONSTRAINT fk_trackers_events_study_id FOREIGN KEY(study_id) REFERENCES trackers_studies (id) ON DELETE CASCADE
)
 WITHOUT ROWID
;

CREATE TABLE trackers_commands (
	id INTEGER NOT NULL,
	study_id INTEGER NOT NULL,
	token VARCHAR(64) NOT NULL,
	kind VARCHAR(32) NOT NULL,
	args TEXT NOT NULL,
	author TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	answered_at BIGINT,
	answer TEXT,
	CONSTRAINT pk_trackers_commands PRIMARY KEY (id),
	CONSTRAINT fk_trackers_commands_study_id FOREIGN KEY(study_id) REFERENCES trackers_studies (id) ON DELETE CASCADE,
	CONSTRAINT uq_trackers_commands_token UNIQUE (token)
)
;

CREATE INDEX ix_trackers_commands_study_id_answered_at ON trackers_commands (study_id, answered_at)
;

CREATE TABLE trackers_attempts (
	run_id INTEGER NOT NULL,
	number INTEGER NOT NULL,
	worker TEXT NOT NULL,
	host TEXT NOT NULL,
	pid INTEGER NOT NULL,
	started_at BIGINT,
	ended_at BIGINT,
	outcome VARCHAR(16),
	reason TEXT NOT NULL,
	counts BOOLEAN NOT NULL,
	cpus DOUBLE NOT NULL,
	gpus DOUBLE NOT NULL,
	code TEXT NOT NULL,
	CONSTRAINT pk_trackers_attempts PRIMARY KEY (run_id, number),
	CONSTRAINT fk_trackers_attempts_run_id FOREIGN KEY(run_id) REFERENCES trackers_runs (id) ON DELETE CASCADE
)
 WITHOUT ROWID
;

CREATE TABLE trackers_params (
	run_id INTEGER NOT NULL,
	name VARCHAR(250) NOT NULL,
	position INTEGER NOT NULL,
	kind SMALLINT NOT NULL,
	number DOUBLE,
	number_kind SMALLINT NOT NULL,
	text TEXT,
	CONSTRAINT pk_trackers_params PRIMARY KEY (run_id, name),
	CONSTRAINT fk_trackers_params_run_id FOREIGN KEY(run_id) REFERENCES trackers_runs (id) ON DELETE CASCADE
)
 WITHOUT ROWID
;

CREATE TABLE trackers_results (
	run_id INTEGER NOT NULL,
	objective INTEGER NOT NULL,
	value DOUBLE,
	kind SMALLINT NOT NULL,
	CONSTRAINT pk_trackers_results PRIMARY KEY (run_id, objective),
	CONSTRAINT fk_trackers_results_run_id FOREIGN KEY(run_id) REFERENCES trackers_runs (id) ON DELETE CASCADE
)
 WITHOUT ROWID
;

CREATE TABLE trackers_series (
	id INTEGER NOT NULL,
	run_id INTEGER NOT NULL,
	"key" VARCHAR(250) NOT NULL,
	context VARCHAR(250) NOT NULL,
	count INTEGER NOT NULL,
	last DOUBLE,
	last_kind SMALLINT NOT NULL,
	last_step INTEGER NOT NULL,
	last_attempt INTEGER NOT NULL,
	last_time BIGINT NOT NULL,
	min DOUBLE,
	max DOUBLE,
	CONSTRAINT pk_trackers_series PRIMARY KEY (id),
	CONSTRAINT uq_trackers_series_run_id_key_context UNIQUE (run_id, "key", context),
	CONSTRAINT fk_trackers_series_run_id FOREIGN KEY(run_id) REFERENCES trackers_runs (id) ON DELETE CASCADE
)
;

CREATE TABLE trackers_tags (
	run_id INTEGER NOT NULL,
	name VARCHAR(250) NOT NULL,
	value TEXT NOT NULL,
	CONSTRAINT pk_trackers_tags PRIMARY KEY (run_id, name),
	CONSTRAINT fk_trackers_tags_run_id FOREIGN KEY(run_id) REFERENCES trackers_runs (id) ON DELETE CASCADE
)
 WITHOUT ROWID
;

CREATE TABLE trackers_attrs (
	run_id INTEGER NOT NULL,
	scope VARCHAR(8) NOT NULL,
	name VARCHAR(250) NOT NULL,
	value TEXT NOT NULL,
	CONSTRAINT pk_trackers_attrs PRIMARY KEY (run_id, scope, name),
	CONSTRAINT fk_trackers_attrs_run_id FOREIGN KEY(run_id) REFERENCES trackers_runs (id) ON DELETE CASCADE
)
;

CREATE TABLE trackers_run_documents (
	run_id INTEGER NOT NULL,
	name VARCHAR(32) NOT NULL,
	content TEXT NOT NULL,
	CONSTRAINT pk_trackers_run_documents PRIMARY KEY (run_id, name),
	CONSTRAINT fk_trackers_run_documents_run_id FOREIGN KEY(run_id) REFERENCES trackers_runs (id) ON DELETE CASCADE
)
;

CREATE TABLE trackers_errors (
	run_id INTEGER NOT NULL,
	type TEXT,
	message TEXT,
	traceback TEXT,
	CONSTRAINT pk_trackers_errors PRIMARY KEY (run_id),
	CONSTRAINT fk_trackers_errors_run_id FOREIGN KEY(run_id) REFERENCES trackers_runs (id) ON DELETE CASCADE
)
;

CREATE TABLE trackers_logs (
	run_id INTEGER NOT NULL,
	attempt INTEGER NOT NULL,
	text TEXT NOT NULL,
	CONSTRAINT pk_trackers_logs PRIMARY KEY (run_id, attempt),
	CONSTRAINT fk_trackers_logs_run_id FOREIGN KEY(run_id) REFERENCES trackers_runs (id) ON DELETE CASCADE
)
;

CREATE TABLE trackers_inputs (
	run_id INTEGER NOT NULL,
	dataset_id INTEGER NOT NULL,
	role VARCHAR(64) NOT NULL,
	CONSTRAINT pk_trackers_inputs PRIMARY KEY (run_id, dataset_id, role),
	CONSTRAINT fk_trackers_inputs_run_id FOREIGN KEY(run_id) REFERENCES trackers_runs (id) ON DELETE CASCADE,
	CONSTRAINT fk_trackers_inputs_dataset_id FOREIGN KEY(dataset_id) REFERENCES trackers_datasets (id)
)
 WITHOUT ROWID
;

CREATE INDEX ix_trackers_inputs_dataset_id ON trackers_inputs (dataset_id)
;

CREATE TABLE trackers_artifacts (
	run_id INTEGER NOT NULL,
	name VARCHAR(1000) NOT NULL,
	digest VARCHAR(64) NOT NULL,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_trackers_artifacts PRIMARY KEY (run_id, name),
	CONSTRAINT fk_trackers_artifacts_run_id FOREIGN KEY(run_id) REFERENCES trackers_runs (id) ON DELETE CASCADE,
	CONSTRAINT fk_trackers_artifacts_digest FOREIGN KEY(digest) REFERENCES trackers_blobs (digest)
)
 WITHOUT ROWID
;

CREATE INDEX ix_trackers_artifacts_digest ON trackers_artifacts (digest)
;

CREATE TABLE trackers_checkpoints (
	run_id INTEGER NOT NULL,
	digest VARCHAR(64) NOT NULL,
	step INTEGER,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_trackers_checkpoints PRIMARY KEY (run_id),
	CONSTRAINT fk_trackers_checkpoints_run_id FOREIGN KEY(run_id) REFERENCES trackers_runs (id) ON DELETE CASCADE,
	CONSTRAINT fk_trackers_checkpoints_digest FOREIGN KEY(digest) REFERENCES trackers_blobs (digest)
)
;

CREATE INDEX ix_trackers_checkpoints_digest ON trackers_checkpoints (digest)
;

CREATE TABLE trackers_models (
	uid VARCHAR(32) NOT NULL,
	run_id INTEGER NOT NULL,
	name VARCHAR(250) NOT NULL,
	flavor VARCHAR(64) NOT NULL,
	manifest TEXT,
	size INTEGER NOT NULL,
	step INTEGER,
	value DOUBLE,
	value_kind SMALLINT NOT NULL,
	why_not TEXT,
	created_at BIGINT NOT NULL,
	replaced_at BIGINT,
	deleted_at BIGINT,
	deleted_why TEXT NOT NULL,
	CONSTRAINT pk_trackers_models PRIMARY KEY (uid),
	CONSTRAINT fk_trackers_models_run_id FOREIGN KEY(run_id) REFERENCES trackers_runs (id) ON DELETE CASCADE
)
;

CREATE INDEX ix_trackers_models_run_id_name ON trackers_models (run_id, name)
;

CREATE TABLE trackers_points (
	series_id INTEGER NOT NULL,
	ordinal INTEGER NOT NULL,
	step INTEGER NOT NULL,
	attempt INTEGER NOT NULL,
	time BIGINT NOT NULL,
	value DOUBLE,
	kind SMALLINT NOT NULL,
	CONSTRAINT pk_trackers_points PRIMARY KEY (series_id, ordinal),
	CONSTRAINT fk_trackers_points_series_id FOREIGN KEY(series_id) REFERENCES trackers_series (id) ON DELETE CASCADE
)
 WITHOUT ROWID
;

CREATE TABLE trackers_model_files (
	model_uid VARCHAR(32) NOT NULL,
	name VARCHAR(1000) NOT NULL,
	digest VARCHAR(64) NOT NULL,
	CONSTRAINT pk_trackers_model_files PRIMARY KEY (model_uid, name),
	CONSTRAINT fk_trackers_model_files_model_uid FOREIGN KEY(model_uid) REFERENCES trackers_models (uid) ON DELETE CASCADE,
	CONSTRAINT fk_trackers_model_files_digest FOREIGN KEY(digest) REFERENCES trackers_blobs (digest)
)
 WITHOUT ROWID
;

CREATE INDEX ix_trackers_model_files_digest ON trackers_model_files (digest)
;

CREATE TABLE trackers_model_versions (
	model_id INTEGER NOT NULL,
	version INTEGER NOT NULL,
	model_uid VARCHAR(32) NOT NULL,
	run_id INTEGER,
	source TEXT NOT NULL,
	description TEXT NOT NULL,
	metrics TEXT NOT NULL,
	lineage TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	created_by TEXT NOT NULL,
	CONSTRAINT pk_trackers_model_versions PRIMARY KEY (model_id, version),
	CONSTRAINT uq_trackers_model_versions_model_id_model_uid UNIQUE (model_id, model_uid),
	CONSTRAINT fk_trackers_model_versions_model_id FOREIGN KEY(model_id) REFERENCES trackers_registered_models (id) ON DELETE CASCADE,
	CONSTRAINT fk_trackers_model_versions_model_uid FOREIGN KEY(model_uid) REFERENCES trackers_models (uid)
)
;

CREATE INDEX ix_trackers_model_versions_model_uid ON trackers_model_versions (model_uid)
;

CREATE TABLE trackers_model_version_tags (
	model_id INTEGER NOT NULL,
	version INTEGER NOT NULL,
	name VARCHAR(250) NOT NULL,
	value TEXT NOT NULL,
	CONSTRAINT pk_trackers_model_version_tags PRIMARY KEY (model_id, version, name),
	CONSTRAINT fk_trackers_model_version_tags_model_id_version FOREIGN KEY(model_id, version) REFERENCES trackers_model_versions (model_id, version) ON DELETE CASCADE
)
;

CREATE TABLE trackers_aliases (
	model_id INTEGER NOT NULL,
	alias VARCHAR(250) NOT NULL,
	version INTEGER NOT NULL,
	CONSTRAINT pk_trackers_aliases PRIMARY KEY (model_id, alias),
	CONSTRAINT fk_trackers_aliases_model_id_version FOREIGN KEY(model_id, version) REFERENCES trackers_model_versions (model_id, version)
)
;

CREATE INDEX ix_trackers_aliases_model_id_version ON trackers_aliases (model_id, version)
;
