(** The genuine gradient of the network and of its loss, and what symmetry says of it.

    Label of the book        theorem here
    eq-loss-gradient, eq-entry-derivative   network_derivative, loss_derivative
    prop-gradient-equivariant  loss_gradient_equivariant
    thm-feature-line         noise_is_not_seen, feature_line
    thm-three-coefficients   gradient_descent_in_three_numbers

    The score is positive with derivative dscore, the activation has the derivative dact, the loss
    phi y the derivative dphi y, in the sense of derivative.v.  For exp(./tau), dscore is
    score / tau. *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From mathcomp Require Import ring.
From Formal Require Import order model derivative orbitals symmetry.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

Section Network.
Variables (R : realFieldType) (T : finType) (score dscore act dact : R -> R).
Hypotheses (score_gt0 : forall a, 0 < score a) (score_d : forall a, is_deriv score a (dscore a)).
Hypothesis act_d : forall a, is_deriv act a (dact a).
Implicit Types (A B : T -> T -> R) (x z : T -> R).

Definition total A i := \sum_j score (A i j).
Definition mean A x i := \sum_j attention score A i j * x j.
Definition slope_A A x i j :=
  dact (seen score A x i) * (#|T|%:R * (dscore (A i j) / total A i * (x j - mean A x i))).
Definition slope_x A x j := \sum_i dact (seen score A x i) * (#|T|%:R * attention score A i j).

Lemma total_gt0 A i : 0 < total A i.
Proof.
rewrite /total (bigD1 i) //= addrC add_ge0_gt0 //.
by rewrite sumr_ge0 // => j _; rewrite ltW.
Qed.

Lemma total_neq0 A i : total A i != 0.
Proof. by rewrite gt_eqF // total_gt0. Qed.

Lemma meanE A x i : mean A x i = (\sum_j score (A i j) * x j) * (total A i)^-1.
Proof. by rewrite mulr_suml; apply: eq_bigr => j _; rewrite mulrAC. Qed.

Lemma score_line a b : is_deriv (fun t => score (a + t * b)) 0 (dscore a * b).
Proof.
by apply: eq_is_deriv (is_deriv_comp (is_deriv_line a b) (score_d _)) => //; rewrite mul0r addr0.
Qed.

Lemma total_line A B i :
  is_deriv (fun t => total (fun i j => A i j + t * B i j) i) 0 (\sum_j dscore (A i j) * B i j).
Proof. by apply: is_deriv_sum => j; apply: score_line. Qed.

Lemma mean_line A B x z i :
  is_deriv (fun t => mean (fun i j => A i j + t * B i j) (fun j => x j + t * z j) i) 0
    (\sum_j (dscore (A i j) / total A i * (x j - mean A x i) * B i j + attention score A i j * z
      j)).
Proof.
have dN := is_deriv_sum (fun j => is_deriv_mul (score_line (A i j) (B i j)) (is_deriv_line (x j) (z
  j))).
have at0 : total (fun i j => A i j + 0 * B i j) i = total A i.
  by apply: eq_bigr => j _; rewrite mul0r addr0.
have dZ := is_deriv_inv (fun t => total_neq0 (fun i j => A i j + t * B i j) i) (total_line A B i).
apply: eq_is_deriv (is_deriv_mul dN dZ) => [t|]; first by rewrite meanE.
have dN0 : \sum_j (dscore (A i j) * B i j * (x j + 0 * z j) + score (A i j + 0 * B i j) * z j) =
    \sum_j (dscore (A i j) * B i j * x j + score (A i j) * z j).
  by apply: eq_bigr => j _; rewrite !mul0r !addr0.
have N0 : \sum_j score (A i j + 0 * B i j) * (x j + 0 * z j) = mean A x i * total A i.
  rewrite meanE divfK ?total_neq0 //.
  by apply: eq_bigr => j _; rewrite !mul0r !addr0.
rewrite /= dN0 N0 at0.
have quotient (m Z S : R) : Z != 0 -> m * Z * (- S / Z ^+ 2) = - (m / Z) * S by move=> Z0; field.
rewrite quotient ?total_neq0 //.
rewrite mulr_sumr mulr_suml -big_split; apply: eq_bigr => j _ /=.
by rewrite /attention -/(total A i); field; rewrite total_neq0.
Qed.

(** The derivative of F along any line of logits and of features. *)
Theorem network_derivative A B x z :
  is_deriv (fun t => network score act (fun i j => A i j + t * B i j) (fun j => x j + t * z j)) 0
    (\sum_i \sum_j slope_A A x i j * B i j + \sum_j slope_x A x j * z j).
Proof.
have dO i := is_deriv_mul (is_deriv_const #|T|%:R 0) (mean_line A B x z i).
have := is_deriv_sum (fun i => is_deriv_comp (dO i) (act_d _)).
apply: eq_is_deriv => //.
have -> : \sum_j slope_x A x j * z j =
    \sum_i \sum_j dact (seen score A x i) * (#|T|%:R * attention score A i j) * z j.
  by rewrite exchange_big; apply: eq_bigr => j _; rewrite mulr_suml.
rewrite -big_split; apply: eq_bigr => i _ /=.
have -> : mean (fun i j => A i j + 0 * B i j) (fun j => x j + 0 * z j) i = mean A x i.
  by apply: eq_bigr => j _; rewrite (eq_attention _ (B := A)) ?mul0r ?addr0 // => a b;
    rewrite mul0r addr0.
rewrite /slope_A mul0r add0r -[#|T|%:R * mean A x i]/(seen score A x i).
move: (dact _) => k; rewrite !mulr_sumr -big_split; apply: eq_bigr => j _ /=.
by ring.
Qed.

Lemma eq_mean A B x z : A =2 B -> x =1 z -> mean A x =1 mean B z.
Proof. by move=> eqA eqx i; apply: eq_bigr => j _; rewrite (eq_attention _ eqA) eqx. Qed.

Lemma eq_slope_A A B x z : A =2 B -> x =1 z -> slope_A A x =2 slope_A B z.
Proof.
move=> eqA eqx i j; rewrite /slope_A (eq_seen _ eqA eqx) (eq_mean eqA eqx) eqA eqx.
by congr (_ * (_ * (_ / _ * _))); apply: eq_bigr => k _; rewrite eqA.
Qed.

Lemma eq_slope_x A B x z : A =2 B -> x =1 z -> slope_x A x =1 slope_x B z.
Proof.
by move=> eqA eqx j; apply: eq_bigr => i _; rewrite (eq_seen _ eqA eqx) (eq_attention _ eqA).
Qed.

(** The loss under any finite law. *)
Section Loss.
Variables (phi dphi : bool -> R -> R) (W P : finType).
Hypothesis phi_d : forall y a, is_deriv (phi y) a (dphi y a).
Variables (prob : W -> R) (label : W -> bool) (X : W -> T -> P -> R).
Implicit Types v u : P -> R.

Let x v o j := dot v (X o j).
Definition population_of v A := loss score act phi prob label (x v) A.
Definition push v A o := dphi (label o) (network score act A (x v o)).
Definition loss_A v A i j := population prob (fun o => push v A o * slope_A A (x v o) i j).
Definition loss_v v A k :=
  population prob (fun o => push v A o * \sum_j slope_x A (x v o) j * X o j k).

Lemma eq_x v u : v =1 u -> forall o, x v o =1 x u o.
Proof. by move=> e o j; apply: eq_bigr => k _; rewrite e. Qed.

Lemma eq_loss_A v u A B : v =1 u -> A =2 B -> loss_A v A =2 loss_A u B.
Proof.
move=> ev eA i j; apply: eq_bigr => o _.
by rewrite /push (eq_network _ _ eA (eq_x ev o)) (eq_slope_A eA (eq_x ev o)).
Qed.

Lemma eq_loss_v v u A B : v =1 u -> A =2 B -> loss_v v A =1 loss_v u B.
Proof.
move=> ev eA k; apply: eq_bigr => o _; rewrite /push (eq_network _ _ eA (eq_x ev o)).
by do 2 congr (_ * _); apply: eq_bigr => j _; rewrite (eq_slope_x eA (eq_x ev o)).
Qed.

Theorem loss_derivative A B v u :
  is_deriv (fun t => population_of (fun k => v k + t * u k) (fun i j => A i j + t * B i j)) 0
    (\sum_i \sum_j loss_A v A i j * B i j + \sum_k loss_v v A k * u k).
Proof.
have dF o := is_deriv_comp (network_derivative A B (x v o) (x u o)) (phi_d (label o) _).
apply: eq_is_deriv (is_deriv_sum (fun o => is_deriv_mul (is_deriv_const (prob o) 0) (dF o))).
  move=> t; apply: eq_bigr => o _; congr (_ * phi _ _); apply: eq_network => // j.
  by rewrite /x /dot mulr_sumr -big_split; apply: eq_bigr => k _ /=; rewrite mulrDl mulrA.
have -> : \sum_k loss_v v A k * u k =
    \sum_o prob o * (push v A o * \sum_j slope_x A (x v o) j * x u o j).
  under eq_bigr do rewrite mulr_suml.
  rewrite exchange_big; apply: eq_bigr => o _ /=.
  under eq_bigr do rewrite -!mulrA; rewrite -!mulr_sumr; do 2 congr (_ * _).
  under eq_bigr do rewrite mulr_suml; rewrite exchange_big; apply: eq_bigr => j _ /=.
  by rewrite mulr_sumr; apply: eq_bigr => k _; rewrite -mulrA [u k * _]mulrC.
have -> : \sum_i \sum_j loss_A v A i j * B i j =
    \sum_o prob o * (push v A o * \sum_i \sum_j slope_A A (x v o) i j * B i j).
  under eq_bigr do under eq_bigr do rewrite mulr_suml.
  under eq_bigr do rewrite exchange_big /=.
  rewrite exchange_big; apply: eq_bigr => o _ /=.
  rewrite !mulr_sumr; apply: eq_bigr => i _; rewrite !mulr_sumr.
  by apply: eq_bigr => j _; rewrite !mulrA.
rewrite -big_split; apply: eq_bigr => o _ /=.
rewrite mul0r add0r mulrDr mulrDr /push.
have -> : network score act (fun i j => A i j + 0 * B i j) (fun j => x v o j + 0 * x u o j)
        = network score act A (x v o).
  by apply: eq_network => [i j|j]; rewrite mul0r addr0.
by [].
Qed.

(** Lines determine the entries. *)
Lemma sum_at (G : T -> T -> R) i j :
  \sum_a \sum_b G a b * ((a == i) && (b == j))%:R = G i j.
Proof.
rewrite (bigD1 i) //= (bigD1 j) //= !eqxx mulr1 !big1 ?addr0 // => [a /negbTE na|b /negbTE nb].
  by rewrite big1 // => b _; rewrite na mulr0.
by rewrite nb andbF mulr0.
Qed.

Corollary loss_derivative_A A B v :
  is_deriv (fun t => population_of v (fun i j => A i j + t * B i j)) 0
    (\sum_i \sum_j loss_A v A i j * B i j).
Proof.
apply: eq_is_deriv (loss_derivative A B v (fun=> 0)) => [t|].
  by apply: eq_bigr => o _; congr (_ * phi _ _); apply: eq_network => // j;
    apply: eq_bigr => k _; rewrite mulr0 addr0.
by rewrite [X in _ + X]big1 ?addr0 // => k _; rewrite mulr0.
Qed.

Theorem loss_gradient_equivariant g h v A : symmetric_law prob label (x v) g h ->
  forall i j, loss_A v (moved g A) (g i) (g j) = loss_A v A i j.
Proof.
move=> sym i j; pose B a b : R := ((a == i) && (b == j))%:R.
have d1 := loss_derivative_A (moved g A) (moved g B) v.
have d2 : is_deriv (fun t => population_of v (fun i j => moved g A i j + t * moved g B i j)) 0
    (\sum_i \sum_j loss_A v A i j * B i j).
  apply: eq_is_deriv (loss_derivative_A A B v) => // t.
  exact/esym/(loss_invariant _ _ _ _ sym).
have := is_deriv_unique d1 d2; rewrite sum_at => <-.
rewrite -[LHS]sum_at; apply: eq_bigr => a _; apply: eq_bigr => b _; congr (_ * _%:R).
by rewrite /moved -!(canF_eq (permKV g)).
Qed.
End Loss.

(** Assumption 1: the noise is orthogonal to w and centred. *)
Section FeatureLine.
Variables (phi dphi : bool -> R -> R) (I N P : finType) (part : T -> I).
Hypothesis phi_d : forall y a, is_deriv (phi y) a (dphi y a).
Variables (q : R) (mu : N -> R) (w : P -> R) (xi : N -> P -> R).
Hypotheses (orthogonal : forall n, dot w (xi n) = 0) (centred : forall k, \sum_n mu n * xi n k = 0).
Implicit Types o : outcome T I N.

Definition feature_at o j : R := (value (delta o j))%:~R.

Theorem noise_is_not_seen a o j :
  dot (fun k => a * w k) (patch w xi o j) = a * dot w w * feature_at o j.
Proof.
rewrite /dot (eq_bigr (fun k => a * feature_at o j * (w k * w k) + a * (w k * xi (noise o j) k))).
  rewrite big_split /= -!mulr_sumr -[X in _ + _ * X]/(dot w (xi _)) orthogonal mulr0 addr0.
  by rewrite mulrAC.
by move=> k _; rewrite /patch -/(feature_at o j); ring.
Qed.

Definition seen_by a o j := a * dot w w * feature_at o j.
Definition pull a A o := dphi (label o) (network score act A (seen_by a o)).

(** The slope along w; it sees the features only. *)
Definition slope_alpha a A := population (prob part q mu)
  (fun o => pull a A o * \sum_j slope_x A (seen_by a o) j * feature_at o j).

Lemma noise_averages_out (f : bool * I * {ffun T -> feature} -> R) j k :
  \sum_(o : outcome T I N) prob part q mu o * (f o.1 * xi (noise o j) k) = 0.
Proof.
rewrite -(pair_bigA _ (fun s n => prob part q mu (s, n) * (f s * xi (n j) k))) /=.
apply: big1 => s _; under eq_bigr => n _.
  rewrite (_ : _ * _ = mass part q s.1.1 s.1.2 s.2 * f s *
    \prod_i (mu (n i) * if i == j then xi (n i) k else 1)); last first.
    rewrite big_split /= -big_mkcond big_pred1_eq /prob /label /signal /delta /noise /=.
    by rewrite mulrACA.
  over.
rewrite -mulr_sumr -(bigA_distr_bigA (fun i n => mu n * if i == j then xi n k else 1)).
by rewrite (bigD1 j) //= eqxx centred mul0r mulr0.
Qed.

Theorem feature_line a A k :
  loss_v dphi (prob part q mu) (@label T I N) (patch w xi) (fun k => a * w k) A k
  = slope_alpha a A * w k.
Proof.
pose slope o j := slope_x A (seen_by a o) j.
have -> : loss_v dphi (prob part q mu) (@label T I N) (patch w xi) (fun k => a * w k) A k =
    \sum_o (prob part q mu o * (pull a A o * \sum_j slope o j * feature_at o j) * w k +
            \sum_j prob part q mu o * (pull a A o * slope o j * xi (noise o j) k)).
  apply: eq_bigr => o _; rewrite -mulr_sumr -mulrA -mulrDr; congr (_ * _).
  rewrite (_ : push _ _ _ _ _ _ = pull a A o); last first.
    by congr (dphi _ _); apply: eq_network => // j; apply: noise_is_not_seen.
  rewrite -mulrA mulr_suml !mulr_sumr -big_split; apply: eq_bigr => j _ /=.
  rewrite (eq_slope_x (B := A) (z := seen_by a o)) // => [|i]; last exact: noise_is_not_seen.
  by rewrite -/(slope o j) /patch -/(feature_at o j); ring.
rewrite big_split /= exchange_big /= [X in _ + X]big1 ?addr0 => [|j _].
  by rewrite /slope_alpha /population mulr_suml.
pose u (s : bool * I * {ffun T -> feature}) i : R := a * dot w w * (value (s.2 i))%:~R.
exact: (noise_averages_out (fun s => dphi s.1.1 (network score act A (u s)) * slope_x A (u s) j)).
Qed.

(** Gradient descent, with any step sizes, on the logits off the diagonal and on v. *)
Section Descent.
Variables (C : nat) (eta_A eta_v : nat -> R) (sigma_A alpha0 gamma0 rho0 : R).
Hypotheses (eqC : equal part C) (C_gt0 : (0 < C)%N).

Let grad_A := loss_A dphi (prob part q mu) (@label T I N) (patch w xi).
Let grad_v := loss_v dphi (prob part q mu) (@label T I N) (patch w xi).
Let opt t (g : R) (m : unit) a := (a - eta_A t * g, m).
Let next t A v k := v k - eta_v t * grad_v v A k.
Let start := State (levels part sigma_A gamma0 rho0) (fun _ _ => tt) (fun k => alpha0 * w k).
Let A t := logits (path grad_A opt next start t).
Let v t := others (path grad_A opt next start t).

Theorem gradient_descent_in_three_numbers : exists alpha gamma rho : nat -> R,
  [/\ [/\ alpha 0%N = alpha0, gamma 0%N = gamma0 & rho 0%N = rho0],
      forall t, v t =1 (fun k => alpha t * w k) /\ A t =2 levels part sigma_A (gamma t) (rho t),
      forall t, alpha t.+1 = alpha t - eta_v t * slope_alpha (alpha t) (A t),
      forall t i j, i != j -> part i = part j ->
        gamma t.+1 = gamma t - eta_A t * grad_A (v t) (A t) i j &
      forall t i j, part i != part j -> rho t.+1 = rho t - eta_A t * grad_A (v t) (A t) i j].
Proof.
have every_set k : exists i, part i = k by apply: block_has eqC C_gt0.
have equi g : g \in wreath part -> equivariant grad_A g.
  move=> /(law_symmetric q mu w xi every_set)[h sym] u B i j.
  exact: (loss_gradient_equivariant phi_d B (sym u)).
have eq_grad u B B' : B =2 B' -> grad_A u B =2 grad_A u B' by apply: eq_loss_A.
have [gamma [rho [[gamma0E rho0E] form gammaE rhoE]]] :=
  three_coefficients_of_equivariance eq_grad opt next eqC equi sigma_A gamma0 rho0 tt
    (fun k => alpha0 * w k).
exists (fun t => iteri t (fun s a => a - eta_v s * slope_alpha a (A s)) alpha0), gamma, rho.
split=> [//|t|//|t i j|t i j]; [ | exact: gammaE | exact: rhoE].
split; last exact: form.
elim: t => [|t IH] k //=.
have same := eq_loss_v dphi (prob part q mu) (@label T I N) (patch w xi) IH
  (fun i j => erefl (A t i j)) k.
by rewrite /v /= /next -/(v t) -/(A t) /grad_v same IH feature_line mulrBl mulrA.
Qed.
End Descent.
End FeatureLine.
End Network.
